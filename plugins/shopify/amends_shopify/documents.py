"""Every GraphQL document that the connector sends, by operation name, for Admin API 2026-07.

A test validates each of them against Shopify's own introspection of that version.
"""

from __future__ import annotations

API_VERSION = "2026-07"

_ORDER = """
fragment OrderFields on Order {
  id
  name
  createdAt
  updatedAt
  cancelledAt
  requiresShipping
  displayFinancialStatus
  displayFulfillmentStatus
  returnStatus
  customerLocale
  tags
  totalPriceSet { shopMoney { amount currencyCode } }
  totalRefundedSet { shopMoney { amount currencyCode } }
  risk { recommendation }
  customer @include(if: $personal) { id displayName }
  email @include(if: $personal)
  phone @include(if: $personal)
  shippingAddress @include(if: $personal) { formatted(withName: true) timeZone }
  disputes @include(if: $disputes) { id status initiatedAs }
  transactions(first: 10) { kind status processedAt }
  lineItems(first: 10) { nodes { sku title currentQuantity } }
  fulfillments(first: 10) {
    status
    displayStatus
    createdAt
    inTransitAt
    deliveredAt
    trackingInfo(first: 1) { company number }
  }
  fulfillmentOrders(first: 6) {
    nodes { ...FulfillmentOrderFields }
    pageInfo { hasNextPage endCursor }
  }
}
"""

_FULFILLMENT_ORDER = """
fragment FulfillmentOrderFields on FulfillmentOrder {
  id
  status
  fulfillAt
  fulfillBy
  fulfillmentHolds { reason }
  deliveryMethod { methodType maxDeliveryDateTime }
  assignedLocation { name }
}
"""

_EVIDENCE = """
fragment DisputeFields on ShopifyPaymentsDispute {
  id
  legacyResourceId
  status
  type
  evidenceDueBy
  finalizedOn
  order { name }
  disputeEvidence { id submitted uncategorizedText }
}
"""

_ERRORS = "userErrors { field message code }"

DOCUMENTS: dict[str, str] = {
    "ChangedOrders": """
query ChangedOrders($query: String!, $first: Int!, $after: String, $personal: Boolean!, $disputes: Boolean!) {
  orders(query: $query, first: $first, after: $after, sortKey: UPDATED_AT) {
    nodes { ...OrderFields }
    pageInfo { hasNextPage endCursor }
  }
}
"""
    + _ORDER
    + _FULFILLMENT_ORDER,
    "OrderByName": """
query OrderByName($query: String!, $personal: Boolean!, $disputes: Boolean!) {
  orders(query: $query, first: 3) {
    nodes {
      ...OrderFields
      metafield(namespace: "amends", key: "extension") { value }
    }
  }
}
"""
    + _ORDER
    + _FULFILLMENT_ORDER,
    "MoreFulfillmentOrders": """
query MoreFulfillmentOrders($id: ID!, $after: String) {
  order(id: $id) {
    fulfillmentOrders(first: 50, after: $after) {
      nodes { ...FulfillmentOrderFields }
      pageInfo { hasNextPage endCursor }
    }
  }
}
"""
    + _FULFILLMENT_ORDER,
    "Tracking": """
query Tracking($query: String!) {
  orders(query: $query, first: 3) {
    nodes {
      name
      fulfillments(first: 10) {
        status
        displayStatus
        createdAt
        inTransitAt
        deliveredAt
        estimatedDeliveryAt
        trackingInfo(first: 1) { company number }
        events(first: 25, sortKey: HAPPENED_AT) { nodes { status happenedAt } }
      }
    }
  }
}
""",
    "OrderMoney": """
query OrderMoney($query: String!) {
  orders(query: $query, first: 3) {
    nodes {
      id
      name
      totalPriceSet { shopMoney { currencyCode } presentmentMoney { currencyCode } }
      customer { id }
      refunds(first: 50) { id note }
      suggestedRefund(suggestFullRefund: true) {
        suggestedTransactions {
          gateway
          kind
          maximumRefundableSet { presentmentMoney { amount currencyCode } }
          parentTransaction { id }
        }
      }
    }
  }
}
""",
    "SetDeadline": f"""
mutation SetDeadline($ids: [ID!]!, $deadline: DateTime!, $trace: [MetafieldsSetInput!]!) {{
  metafieldsSet(metafields: $trace) {{ userErrors {{ message }} }}
  fulfillmentOrdersSetFulfillmentDeadline(fulfillmentOrderIds: $ids, fulfillmentDeadline: $deadline) {{
    success
    {_ERRORS}
  }}
}}
""",
    "AddTag": """
mutation AddTag($id: ID!, $tags: [String!]!) {
  tagsAdd(id: $id, tags: $tags) {
    userErrors { field message }
  }
}
""",
    "CreateDiscount": f"""
mutation CreateDiscount($discount: DiscountCodeBasicInput!) {{
  discountCodeBasicCreate(basicCodeDiscount: $discount) {{
    codeDiscountNode {{ id }}
    {_ERRORS}
  }}
}}
""",
    "DiscountByCode": """
query DiscountByCode($code: String!) {
  codeDiscountNodeByCode(code: $code) { id }
}
""",
    "CreditStore": f"""
mutation CreditStore($id: ID!, $credit: StoreCreditAccountCreditInput!) {{
  storeCreditAccountCredit(id: $id, creditInput: $credit) {{
    storeCreditAccountTransaction {{ id }}
    {_ERRORS}
  }}
}}
""",
    "CreateGiftCard": f"""
mutation CreateGiftCard($card: GiftCardCreateInput!) {{
  giftCardCreate(input: $card) {{
    giftCard {{ id }}
    {_ERRORS}
  }}
}}
""",
    "GiftCards": """
query GiftCards($query: String!, $after: String) {
  giftCards(query: $query, first: 100, after: $after, sortKey: CREATED_AT, reverse: true) {
    nodes { id note }
    pageInfo { hasNextPage endCursor }
  }
}
""",
    # Since 2026-04 a refund without the directive fails at run time, although the schema does not say so.
    "Refund": """
mutation Refund($input: RefundInput!, $key: String!) {
  refundCreate(input: $input) @idempotent(key: $key) {
    refund { id }
    userErrors { field message }
  }
}
""",
    "Dispute": """
query Dispute($id: ID!) {
  dispute(id: $id) { ...DisputeFields }
}
"""
    + _EVIDENCE,
    "UpdateEvidence": f"""
mutation UpdateEvidence($id: ID!, $input: ShopifyPaymentsDisputeEvidenceUpdateInput!) {{
  disputeEvidenceUpdate(id: $id, input: $input) {{
    disputeEvidence {{ id submitted }}
    {_ERRORS}
  }}
}}
""",
}
