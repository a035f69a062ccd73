"""Every GraphQL document that this connector sends. A test validates each against a real server's schema."""

from __future__ import annotations

LOGIN = """
mutation Login($username: String!, $password: String!) {
  login(username: $username, password: $password) {
    __typename
    ... on CurrentUser { id }
    ... on ErrorResult { errorCode message }
  }
}
"""

_ORDER = """
fragment Parts on Order {
  id code state currencyCode createdAt updatedAt orderPlacedAt totalWithTax
  customer { id firstName lastName phoneNumber emailAddress }
  shippingAddress { fullName streetLine1 streetLine2 postalCode city province country phoneNumber }
  lines { quantity productVariant { sku name } }
  payments { id state amount createdAt updatedAt refunds { id state total reason updatedAt } }
  fulfillments { id state method trackingCode createdAt updatedAt }
  history(options: {
    filter: { type: { eq: "ORDER_FULFILLMENT_TRANSITION" } }, sort: { createdAt: ASC }, take: 100
  }) { items { createdAt data } }
}
"""

ORDERS = (
    """
query Orders($options: OrderListOptions!) {
  orders(options: $options) { totalItems items { ...Parts } }
}
"""
    + _ORDER
)

NOTES = """
query Notes($id: ID!, $skip: Int!) {
  order(id: $id) {
    id
    history(options: {
      filter: { type: { eq: "ORDER_NOTE" } }, sort: { createdAt: DESC, id: DESC }, skip: $skip, take: 100
    }) { totalItems items { id isPublic data } }
  }
}
"""

ADD_NOTE = """
mutation AddNote($input: AddNoteToOrderInput!) {
  addNoteToOrder(input: $input) { id }
}
"""

PROMOTIONS = """
query Promotions($code: String!) {
  promotions(options: { filter: { couponCode: { eq: $code } }, sort: { createdAt: ASC } }) {
    totalItems
    items { id couponCode endsAt actions { code args { name value } } }
  }
}
"""

CREATE_PROMOTION = """
mutation CreatePromotion($input: CreatePromotionInput!) {
  createPromotion(input: $input) {
    __typename
    ... on Promotion { id couponCode endsAt actions { code args { name value } } }
    ... on ErrorResult { errorCode message }
  }
}
"""

REFUND = """
mutation Refund($input: RefundOrderInput!) {
  refundOrder(input: $input) {
    __typename
    ... on Refund { id state total reason }
    ... on ErrorResult { errorCode message }
  }
}
"""

SETTLE_REFUND = """
mutation SettleRefund($input: SettleRefundInput!) {
  settleRefund(input: $input) {
    __typename
    ... on Refund { id state total reason }
    ... on ErrorResult { errorCode message }
  }
}
"""

ALL = (LOGIN, ORDERS, NOTES, ADD_NOTE, PROMOTIONS, CREATE_PROMOTION, REFUND, SETTLE_REFUND)
