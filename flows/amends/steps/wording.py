"""Puts what a case knows into the words of a message, a filing or a task: the values that templates may use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from amends.cases import facts as f
from amends.cases.lateness import State
from amends.cases.orders import Personal
from amends.cases.snapshot import Round, Snapshot
from amends.cases.stages import Now, look
from amends.steps.links import reply_url
from amends.steps.narrative import tell
from amends.steps.shop import Shop
from amends.steps.texts import Text, message_name, render
from amends.steps.turns import Turn


@dataclass(frozen=True, slots=True)
class Words:
    """A text ready to be sent, with the template and the few parameters that a template-only channel needs."""

    subject: str
    body: str
    language: str
    template: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    reply_url: str = ""


def message_text(shop: Shop, turn: Turn, last: Round, personal: Mapping[str, bytes]) -> Words:
    """The explanation and the offer of a round, in the customer's language and time zone."""
    now = look(turn.case, turn.now, shop.terms(turn.claim.playbook))
    state = now.lateness.state if now.lateness else State.UNKNOWN
    earlier = turn.case.rounds[:-1]
    broken = bool(earlier) and earlier[-1].accepted
    name = message_name(state, round=last.number, agreed=last.offer.agreed, broken=broken)
    values = _order_values(shop, turn.case, now)
    values |= {
        "state": state.value, "round": last.number, "cause": last.offer.cause or "unknown", "remedy": last.offer.remedy,
        "new_ship_by": last.offer.new_ship_by, "reply_by": last.offer.reply_by, "notice": last.notice,
        "customer": _name(personal), "cancel_right": now.shipped is None,
    }  # fmt: skip
    if broken:
        values["agreed_ship_by"] = earlier[-1].offer.new_ship_by
    if last.offer.reply_by is not None:
        values["silence"] = _silence(shop, turn, last)
    url = reply_url(shop.settings.inbox, shop.ledger.vault, turn.case, last, turn.now)
    values["reply_url"] = url
    text = _render(shop, name, turn.case, {k: v for k, v in values.items() if v is not None})
    parameters = {"order": turn.case.number, "remedy": text.remedy}
    return Words(text.subject, text.body, text.language, name, parameters, url)


def filing_text(shop: Shop, turn: Turn, instance: f.Instance, facts: Sequence[f.Fact] = ()) -> Words:
    """What is put before a desk, or a lawyer: the facts, what was offered and answered, what is asked."""
    case = turn.case
    now = look(case, turn.now, shop.terms(turn.claim.playbook))
    values = _order_values(shop, case, now)
    values |= {
        "offers": [_offer(round_) for round_ in case.rounds],
        "dispute": case.order.dispute if case.order else "",
        "reason": now.lateness.why if now.lateness else "",
        "evidence": ["chronology.txt", "facts.json"],
    }
    ruling = now.last_ruling
    if ruling is not None:
        values["ruling"] = f"{ruling.instance}: {ruling.verdict}"
    if instance == "legal":
        values["chronology"] = [
            {"at": fact.at, "what": tell(fact)} for fact in facts if f.is_material(fact.body.kind)
        ]
    text = _render(shop, instance, case, {k: v for k, v in values.items() if v is not None})
    return Words(text.subject, text.body, text.language, template=instance)


def _render(shop: Shop, name: str, case: Snapshot, values: Mapping[str, Any]) -> Text:
    given = shop.settings.shop(shop.name)
    order = case.order
    language = (
        order.language if order and name not in ("complaint", "arbitration", "response", "legal") else ""
    ) or given.language
    zone = (order.time_zone if order else "") or given.time_zone
    return render(name, language, values, shop.template_dirs, time_zone=zone)


def _order_values(shop: Shop, case: Snapshot, now: Now) -> dict[str, Any]:
    order = case.order
    values: dict[str, Any] = {"order": case.number, "shop": shop.name}
    if order is not None:
        promised = shop.rules.promise(order)
        values |= {
            "amount": order.amount, "placed_at": order.placed_at, "shipped_at": order.shipped_at, "carrier": order.carrier,
            "picked_up_at": order.picked_up_at, "deliver_by": order.deliver_by, "tracking_number": order.tracking_number,
            "ship_by": promised[0] if promised else None,
        }  # fmt: skip
    elif now.lateness is not None:
        values["ship_by"] = now.lateness.ship_by
    return values


def _offer(round_: Round) -> dict[str, Any]:
    answer = "silent" if round_.silent else round_.answer.value if round_.answer else ""
    return {
        "round": round_.number, "at": round_.contacted_at or round_.proposed_at, "answer": answer,
        "what": str(round_.offer.remedy) if round_.offer.remedy else "",
    }  # fmt: skip


def _silence(shop: Shop, turn: Turn, last: Round) -> str:
    """What no answer will mean, said beforehand."""
    chosen = shop.terms(turn.claim.playbook).playbook.silence
    if chosen != "by-rule":
        return chosen
    rule = shop.rules.silence(shop.rules.day(turn.now), last.notice)
    known = rule is not None and rule.text in ("accepted", "refused", "cancel")
    return (
        rule.text
        if rule is not None and known and (rule.confidence.reliable or rule.text == "refused")
        else "refused"
    )


def _name(personal: Mapping[str, bytes]) -> str:
    kept = personal.get("personal")
    return Personal.model_validate_json(kept).name if kept else ""
