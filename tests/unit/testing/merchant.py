"""A small, straightforward merchant: works the marketplace every six hours and notes which stories it met."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from amends import (
    Answer,
    Extension,
    Filing,
    Grant,
    Message,
    Money,
    Order,
    Remedy,
    RemedyKind,
    Reply,
    RuleBook,
    State,
    contradictions,
    judge,
)
from amends.cases.orders import AfterSales, with_tracking
from amends.errors import Rejected
from amends.testing.marketplace import Marketplace

TICK = timedelta(hours=6)
DAY = timedelta(hours=24)
RULES = RuleBook()


@dataclass
class Case:
    order: str
    round: int = 0
    stage: str = "contact"
    offer: Message | None = None
    agreed: datetime | None = None
    filed: datetime | None = None
    ref: str = ""
    outcome: str = ""
    late: bool = False
    breaks: int = 0
    refund: bool = False


class Merchant:
    def __init__(self, market: Marketplace) -> None:
        self.market = market
        self.known: dict[str, Order] = {}
        self.cases: dict[str, Case] = {}
        self.stories: set[str] = set()
        self.cursors = ["", ""]

    def work(self) -> Merchant:
        for tick in range(self.market.days * 4 + 1):
            self.market.set_clock(self.market.start + TICK * tick)
            self.sweep()
        return self

    def sweep(self) -> None:
        more = True
        while more:
            page = self.market.changed_orders(self.cursors[0])
            self.cursors[0], more = page.cursor, page.more
            for order in page.orders:
                before = self.known.get(order.number)
                if before is None or before.observed_at < order.observed_at:
                    self.known[order.number] = order
        replies = self.market.replies(self.cursors[1])
        self.cursors[1] = replies.cursor
        for reply in replies.replies:
            self.answered(self.cases[reply.order], reply)
        for number, order in self.known.items():
            if number not in self.cases and judge(order, now=self.market.now, rules=RULES).state.needs_case:
                self.cases[number] = Case(number)
        for case in self.cases.values():
            if not case.outcome:
                self.advance(case)

    def advance(self, case: Case) -> None:
        number, now = case.order, self.market.now
        order = with_tracking(self.market.order(number), self.market.tracking(number))
        self.known[number] = order
        if contradictions(order):
            self.stories.add("contradictory")
            return
        verdict = judge(order, now=now, rules=RULES, agreed=case.agreed)
        case.late |= verdict.state.late
        if verdict.state is State.STALLED:
            self.stories.add("stalled")
        if order.after_sales is AfterSales.DISPUTED:
            if not case.ref:
                filing = Filing(op="respond", instance="response", text="", key=f"r{number}", order=number)
                case.ref = self.market.respond(filing).ref
            self.stories.add("dispute answered")
            return
        if order.after_sales is AfterSales.REVIEW:
            self.stories.add("review awaited")
            return
        if order.after_sales.under_way:
            self.stories.add("refund under way")
            return
        if verdict.state is State.EXEMPT:
            if order.after_sales is AfterSales.REFUNDED and not case.round:
                self.stories.add("already refunded, no message")
            case.outcome = verdict.why
            return
        if order.after_sales is AfterSales.REJECTED and case.refund:
            case.refund, case.stage = False, "contact"
        if (
            verdict.state in (State.ON_TIME, State.SHIPPED_LATE)
            and order.picked_up_at
            and case.stage != "settle"
        ):
            if not case.round:
                self.stories.add(
                    "shipped meanwhile, no message" if verdict.state is State.ON_TIME else "missed"
                )
            if (
                verdict.state is State.ON_TIME
                and order.agreed_ship_by
                and order.picked_up_at > (order.ship_by or now)
            ):
                self.stories.add("saved by extension")
            case.outcome = "shipped"
            return
        if case.stage == "waiting" and case.offer and case.offer.reply_by and now >= case.offer.reply_by:
            self.stories.add("silent")
            case.stage = "refused" if case.round > 1 else "promised"
            case.agreed = case.offer.new_ship_by
        if case.stage == "promised" and case.agreed and now > case.agreed and verdict.state is State.OVERDUE:
            case.breaks += 1
            self.stories.add("broken twice" if case.breaks > 1 else "broken once")
            case.stage = "contact"
        if case.stage == "promised" and verdict.state is State.STALLED:
            case.outcome = "settled"
        if case.stage == "contact" and case.round >= 2:
            case.stage = "refused"
        if case.stage == "contact":
            self.contact(case, verdict.ship_by or now)
        elif case.stage in ("refused", "complaint", "arbitration"):
            self.fight(case)

    def contact(self, case: Case, ship_by: datetime) -> None:
        case.round += 1
        remedy = Remedy(kind=RemedyKind.COUPON, amount=Money(minor=300 * case.round, currency="CNY"))
        case.offer = Message(
            key=f"m{case.order}{case.round}",
            order=case.order,
            round=case.round,
            text="Sorry.",
            remedy=remedy,
            new_ship_by=max(ship_by, self.market.now) + timedelta(hours=36),
            reply_by=self.market.now + DAY,
        )
        self.market.message(case.offer)
        case.stage = "waiting"

    def answered(self, case: Case, reply: Reply) -> None:
        if case.outcome or case.stage != "waiting" or case.offer is None:
            return
        answer = reply.answer or Answer(self.market.reading(reply.event))
        self.stories.add("free text" if reply.answer is None else str(answer))
        if answer is Answer.ACCEPT:
            self.settle(case, case.offer.remedy)
            case.agreed, case.stage = case.offer.new_ship_by, "promised"
            if case.agreed:
                try:
                    self.market.extend(
                        Extension(key=f"x{case.order}", order=case.order, round=case.round, until=case.agreed)
                    )
                except Rejected:
                    self.stories.add("extension refused")
        elif answer is Answer.CANCEL:
            amount = self.market.order(case.order).amount
            self.settle(case, Remedy(kind=RemedyKind.REFUND, amount=amount))
            case.refund, case.stage = True, "settle"
        else:
            case.stage = "contact" if case.round < 2 else "refused"

    def settle(self, case: Case, remedy: Remedy | None) -> None:
        if remedy:
            self.market.grant(
                Grant(key=f"g{case.order}{case.round}", order=case.order, round=case.round, remedy=remedy)
            )
            self.stories.add("settled")

    def fight(self, case: Case) -> None:
        now, number = self.market.now, case.order
        if case.stage == "refused":
            case.ref = self.market.back_office(number, "complain", key=f"c{number}").ref
            case.stage, case.filed = "complaint", now
            self.stories.add("complained")
            return
        ruling = self.market.ruling(number, case.ref)
        if ruling is None and case.filed and now < case.filed + timedelta(hours=36):
            return
        if ruling is not None and ruling.verdict != "against-us":
            case.outcome = f"ruled {ruling.verdict}"
            self.stories.add(f"{case.stage} {ruling.verdict}")
        elif case.stage == "complaint":
            self.stories.add("complaint lost" if ruling else "complaint overdue")
            filing = Filing(op="arbitrate", instance="arbitration", text="", key=f"a{number}", order=number)
            case.ref = self.market.arbitrate(filing).ref
            case.stage, case.filed = "arbitration", now
        else:
            self.stories.add("legal")
            self.market.back_office(number, "legal")
            case.outcome = "legal"
