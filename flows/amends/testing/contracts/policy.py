"""The contract of policies: pure, explained, within the caps, whatever case they are asked about."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import lru_cache
from itertools import product
from typing import Any, ClassVar

from amends.cases.lateness import Lateness, State
from amends.cases.money import Money
from amends.cases.offers import Offer, Remedy, RemedyKind
from amends.hooks.protocols import CaseView, PolicyContext
from amends.hooks.specs import PolicySpec
from amends.testing.contracts import samples
from amends.testing.contracts.bench import BrokenContract, expect

Asked = tuple[CaseView, PolicyContext]

ALL_KINDS = frozenset(kind.value for kind in RemedyKind)
NOW = samples.START


class PolicySamples:
    """What a policy's author gives: the spec's name, and configs as a merchant would write them."""

    kind: ClassVar[str] = "policy"
    name: ClassVar[str] = ""
    configs: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    currency: ClassVar[str] = "CNY"


def cases(currency: str) -> Iterator[Asked]:
    """Some hundred cases: orders small and large, hours and weeks late, caps free, tight and used up."""
    for view, caps in _views(currency):
        yield view, PolicyContext(left=dict(caps), reply_by=NOW + timedelta(hours=24), last_round=2)


@lru_cache(maxsize=4)
def _views(currency: str) -> tuple[tuple[CaseView, tuple[tuple[str, Money], ...]], ...]:
    amounts = (1, 1999, 30000, 12345678)
    states = ((State.AT_RISK, -3), (State.OVERDUE, 2), (State.OVERDUE, 24 * 30), (State.SHIPPED_LATE, 12))
    lefts = (None, 0, 250, 10**9)
    kinds = (ALL_KINDS, frozenset({"refund"}), frozenset[str]())
    found = []
    for n, (minor, late, left, can, round) in enumerate(product(amounts, states, lefts, kinds, (1, 2, 9))):
        state, by = late[0], timedelta(hours=late[1])
        order = samples.late(f"S-{n}", now=NOW, currency=currency).public()
        first = Offer(
            remedy=samples.remedy("coupon", currency), why="sample", reply_by=NOW - timedelta(hours=1)
        )
        view = CaseView(
            order=order.model_copy(update={"amount": Money(minor=minor, currency=currency)}),
            lateness=Lateness(
                state=state, why="sample", ship_by=NOW - by, ship_by_source="platform", late_by=by
            ),
            round=round,
            penalty=Money(minor=300, currency=currency) if n % 2 else None,
            earlier=(first,) * (round - 1),
            counter_ship_by=NOW + timedelta(days=4) if round == 9 else None,
            counter_remedy=Remedy(kind=RemedyKind.REFUND, amount=Money(minor=10**7, currency=currency))
            if round == 2
            else None,
            now=NOW,
            can=can,
        )
        money = None if left is None else Money(minor=left, currency=currency)
        found.append((view, () if money is None else (("per_order", money), ("per_shop_day", money + money))))
    return tuple(found)


class PolicyContract:
    """What every policy must keep. Name the spec, and `samples` where it needs a config:

    class TestLadder(PolicyContract):
        spec = SPEC
        samples = LadderSamples
    """

    spec: ClassVar[PolicySpec]
    samples: ClassVar[type[PolicySamples]] = PolicySamples

    def test_it_answers_every_case_with_an_offer_that_explains_itself(self) -> None:
        """An `Offer` with a reason in words, for every sample case; nothing raises."""
        for _, offer in self.offers():
            expect(isinstance(offer, Offer), f"propose must answer with an Offer, not {type(offer).__name__}")
            expect(len(offer.why.strip()) >= 3, "an offer's `why` explains nothing")

    def test_no_remedy_is_above_any_cap(self) -> None:
        """The amount is within every cap that the context still leaves."""
        for (_, context), offer in self.offers():
            for name, left in context.left.items():
                if offer.remedy is not None and offer.remedy.amount is not None:
                    amount = offer.remedy.amount
                    expect(
                        amount.currency == left.currency,
                        f"offers {amount} where the cap {name} is in {left.currency}",
                    )
                    expect(amount <= left, f"offers {amount} where the cap {name} leaves {left}")

    def test_only_what_can_be_granted_is_offered(self) -> None:
        """The remedy's kind is among those that connector or people can grant."""
        for (view, _), offer in self.offers():
            kind = offer.remedy.kind.value if offer.remedy else ""
            expect(not kind or kind in view.can, f"offers a {kind}, which nobody can grant here")

    def test_dates_lie_ahead(self) -> None:
        """A new ship date and a reply-by are later than now."""
        for (view, _), offer in self.offers():
            now = view.now or NOW
            for name in ("new_ship_by", "reply_by"):
                date = getattr(offer, name)
                expect(date is None or date > now, f"offers a {name} that is already past")

    def test_nothing_means_nothing(self) -> None:
        """`Offer.nothing` carries no remedy."""
        for _, offer in self.offers():
            expect(not (offer.none and offer.remedy), "an offer says `none` and has a remedy")

    def test_it_is_deterministic_and_has_no_memory(self) -> None:
        """The same case gives the same offer: asked again, in another order, by a fresh policy."""
        for config in self.configs():
            asked = list(cases(self.samples.currency))
            policy, fresh = self.spec.factory(config), self.spec.factory(config)
            first = [policy.propose(*one) for one in asked]
            again = [policy.propose(*one) for one in reversed(asked)][::-1]
            other = [fresh.propose(*one) for one in cases(self.samples.currency)]
            expect(first == again, "asked in another order, the policy offers something else: it remembers")
            expect(first == other, "a fresh policy offers something else: it draws, or reads a clock")

    def test_it_changes_nothing(self) -> None:
        """What it is given stays as it was."""
        for policy in self.policies():
            for view, context in cases(self.samples.currency):
                before = repr((view, context))
                policy.propose(view, context)
                expect(
                    repr((view, context)) == before,
                    "propose changes the case or the context that it is given",
                )

    def test_offers_survive_json(self) -> None:
        """An offer becomes a fact: written and read, it is the same."""
        for _, offer in self.offers():
            expect(
                Offer.model_validate(json.loads(offer.model_dump_json())) == offer,
                "an offer does not survive JSON",
            )

    def test_config_refuses_unknown_keys(self) -> None:
        """A misspelt key in a merchant's file is an error, not silence."""
        from pydantic import ValidationError

        try:
            self.spec.config.model_validate(dict(self.samples.configs[0]) | {"no_such_key": 1})
        except ValidationError:
            return
        expect(False, 'the config takes unknown keys; give it model_config = ConfigDict(extra="forbid")')

    def configs(self) -> list[Any]:
        return [self.spec.config.model_validate(dict(config)) for config in self.samples.configs]

    def policies(self) -> list[Any]:
        return [self.spec.factory(config) for config in self.configs()]

    def offers(self) -> Iterator[tuple[Asked, Offer]]:
        for policy in self.policies():
            for asked in cases(self.samples.currency):
                try:
                    yield asked, policy.propose(*asked)
                except BrokenContract:
                    raise
                except Exception as error:
                    view = asked[0]
                    raise BrokenContract(
                        f"propose raised {type(error).__name__} for {view.order.amount}, round {view.round}, "
                        f"{view.lateness.state}: {error}"
                    ) from error
