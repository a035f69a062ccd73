"""Shopify's answers as typed values, under Shopify's own names; a missing field is reported by its name."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, ValidationError

from amends import BadAnswer, Money

_M = TypeVar("_M", bound=BaseModel)
_N = TypeVar("_N")
Time = Annotated[AwareDatetime, AfterValidator(lambda at: at.astimezone(UTC))]


class PageInfo(BaseModel):
    hasNextPage: bool
    endCursor: str | None = None

    @property
    def next(self) -> str | None:
        """Where the next page begins; None after the last. Else the first page would come again for ever."""
        if self.hasNextPage and not self.endCursor:
            raise BadAnswer("shopify: pageInfo.endCursor is missing, although there is a next page")
        return self.endCursor if self.hasNextPage else None


class Connection(BaseModel, Generic[_N]):
    nodes: list[_N]


class Page(Connection[_N], Generic[_N]):
    pageInfo: PageInfo


class Amount(BaseModel):
    """`MoneyV2`: a decimal as text. A JSON number is refused, because it may already have lost a digit."""

    amount: str
    currencyCode: str

    @property
    def money(self) -> Money:
        try:
            return Money.of(self.amount, self.currencyCode)
        except ValueError as error:
            raise BadAnswer(f"shopify: an amount cannot be read: {error}", field="amount") from error


class Currency(BaseModel):
    currencyCode: str


class ShopAmount(BaseModel):
    shopMoney: Amount


class PaidAmount(BaseModel):
    presentmentMoney: Amount


class Currencies(BaseModel):
    shopMoney: Currency
    presentmentMoney: Currency


class Risk(BaseModel):
    recommendation: str


class Customer(BaseModel):
    id: str
    displayName: str = Field(default="", repr=False)


class Address(BaseModel):
    formatted: list[str] = Field(default_factory=list, repr=False)
    timeZone: str | None = None


class DisputeSummary(BaseModel):
    id: str
    status: str
    initiatedAs: str = ""


class Transaction(BaseModel):
    kind: str
    status: str
    processedAt: Time | None = None


class LineItem(BaseModel):
    title: str
    sku: str | None = None
    currentQuantity: int = 1


class TrackingInfo(BaseModel):
    company: str | None = None
    number: str | None = None


class FulfillmentEvent(BaseModel):
    status: str
    happenedAt: Time


class Fulfillment(BaseModel):
    status: str
    createdAt: Time
    displayStatus: str | None = None
    inTransitAt: Time | None = None
    deliveredAt: Time | None = None
    estimatedDeliveryAt: Time | None = None
    trackingInfo: list[TrackingInfo] = Field(default_factory=list)
    events: Connection[FulfillmentEvent] | None = None


class Hold(BaseModel):
    reason: str


class Delivery(BaseModel):
    methodType: str
    maxDeliveryDateTime: Time | None = None


class Location(BaseModel):
    name: str = ""


class FulfillmentOrder(BaseModel):
    id: str
    status: str
    fulfillAt: Time | None = None
    fulfillBy: Time | None = None
    fulfillmentHolds: list[Hold] = Field(default_factory=list)
    deliveryMethod: Delivery | None = None
    assignedLocation: Location | None = None


class Metafield(BaseModel):
    value: str


class OrderNode(BaseModel):
    id: str
    name: str = Field(min_length=1)
    createdAt: Time
    updatedAt: Time
    displayFulfillmentStatus: str
    totalPriceSet: ShopAmount
    totalRefundedSet: ShopAmount | None = None
    fulfillmentOrders: Page[FulfillmentOrder]
    fulfillments: list[Fulfillment]
    cancelledAt: Time | None = None
    requiresShipping: bool = True
    displayFinancialStatus: str | None = None
    returnStatus: str = "NO_RETURN"
    customerLocale: str | None = None
    tags: list[str] = Field(default_factory=list)
    risk: Risk | None = None
    customer: Customer | None = None
    email: str | None = Field(default=None, repr=False)
    phone: str | None = Field(default=None, repr=False)
    shippingAddress: Address | None = None
    disputes: list[DisputeSummary] = Field(default_factory=list)
    transactions: list[Transaction] = Field(default_factory=list)
    lineItems: Connection[LineItem] | None = None
    metafield: Metafield | None = None


class OrderPage(BaseModel):
    orders: Page[dict[str, Any]]  # each an `OrderNode`, read by itself


class OrderList(BaseModel):
    orders: Connection[OrderNode]


class FulfillmentOrderHolder(BaseModel):
    fulfillmentOrders: Page[FulfillmentOrder]


class MoreFulfillmentOrders(BaseModel):
    order: FulfillmentOrderHolder


class TrackedOrder(BaseModel):
    name: str
    fulfillments: list[Fulfillment]


class TrackedOrders(BaseModel):
    orders: Connection[TrackedOrder]


class Node(BaseModel):
    id: str


class Noted(BaseModel):
    id: str
    note: str | None = None


class Refundable(BaseModel):
    gateway: str | None = None
    kind: str
    maximumRefundableSet: PaidAmount | None = None
    parentTransaction: Node | None = None


class SuggestedRefund(BaseModel):
    suggestedTransactions: list[Refundable]


class OrderMoney(BaseModel):
    id: str
    name: str
    totalPriceSet: Currencies
    refunds: list[Noted]
    customer: Node | None = None
    suggestedRefund: SuggestedRefund | None = None


class OrderMoneys(BaseModel):
    orders: Connection[OrderMoney]


class DiscountByCode(BaseModel):
    codeDiscountNodeByCode: Node | None


class GiftCards(BaseModel):
    giftCards: Page[Noted]


class Evidence(BaseModel):
    id: str
    submitted: bool
    uncategorizedText: str | None = Field(default=None, repr=False)


class OrderName(BaseModel):
    name: str


class Dispute(BaseModel):
    id: str
    legacyResourceId: int | str
    status: str
    disputeEvidence: Evidence
    type: str = ""
    evidenceDueBy: Time | None = None
    finalizedOn: Time | None = None
    order: OrderName | None = None


class DisputeAnswer(BaseModel):
    dispute: Dispute | None


def read(model: type[_M], data: Any, *, what: str) -> _M:
    """`data` as a `model`; raises `BadAnswer` naming the fields, never their (personal) values."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lacking = ", ".join(
            ".".join(map(str, problem["loc"]))
            + (" is missing" if problem["type"] == "missing" else f" ({problem['type']})")
            for problem in error.errors(include_input=False, include_url=False)[:5]
        )
    # Outside the handler: pydantic's error shows the values and must not hang on ours as its context.
    raise BadAnswer(f"shopify: {what}: {lacking}", field=lacking)
