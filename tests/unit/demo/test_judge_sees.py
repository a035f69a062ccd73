"""The judge can see: three ledgers made faulty on purpose, each found out by the same demo."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from amends.cases import facts as f
from amends.demo.run import Demo
from amends.ledger import Tx, persons, work
from amends.ledger.effects import Change, Draft, EffectState
from amends.steps import acts, advance, sending

WORLD = {"orders": 40, "days": 4, "seed": 2}
OF_AN_ACT = (f.Contacted, f.Settled, f.SettlementRequested, f.Extended, f.Filed, f.Uncertain)


def judged(place: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The demo's result, with few moves per sweep: a faulty ledger goes in circles."""
    monkeypatch.setattr(advance, "MOVES", 6)
    result = Demo(place / name, prefect=False, say=lambda text: None, **WORLD).run()  # type: ignore[arg-type]
    return result


def test_the_true_ledger_passes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = judged(place, "true", monkeypatch)
    assert (result["duplicates"], result["lost"]) == (0, 0)


def test_outcomes_that_are_not_written(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = work.conclude

    def conclude(tx: Tx, ends: Sequence[work.End], now: datetime) -> Any:
        for end in ends:
            end.changes = []
            end.facts = [new for new in end.facts if not isinstance(new.body, OF_AN_ACT)]
        return real(tx, ends, now)

    monkeypatch.setattr(work, "conclude", conclude)
    result = judged(place, "no-outcomes", monkeypatch)
    assert result["lost"] > 0


def test_keys_that_are_random(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random where it is drafted, and at each attempt: neither the platform nor a look can know the act again."""
    planned, restore = acts.draft, sending.restore

    def draft(*args: Any, **more: Any) -> Draft:
        made = planned(*args, **more)
        return replace(made, detail=f"{made.detail}{secrets.token_hex(4)}")

    def restored(effect: Any, kept: Any) -> Any:
        return restore(effect, kept).model_copy(update={"key": secrets.token_hex(8)})

    monkeypatch.setattr(acts, "draft", draft)
    monkeypatch.setattr(sending, "restore", restored)
    result = judged(place, "random-keys", monkeypatch)
    assert result["duplicates"] > 0


def test_intents_after_the_act(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written before the act, so an act without an answer leaves no trace: it is done again."""
    real = work.conclude

    def mark_sent(tx: Tx, claims: Sequence[work.Claim], sending: Any, now: datetime) -> Any:
        return persons.load_with_keys(tx, [claim.id for claim in claims])

    def conclude(tx: Tx, ends: Sequence[work.End], now: datetime) -> Any:
        for end in ends:
            end.changes = [_forgotten(change) for change in end.changes]
            end.facts = [new for new in end.facts if not isinstance(new.body, f.Uncertain)]
            end.tasks = [task for task in end.tasks if not task.kind.startswith("find-out:")]
        return real(tx, ends, now)

    def _forgotten(change: Change) -> Change:
        if change.state in (EffectState.UNKNOWN, EffectState.QUARANTINED):
            return Change(change.key, EffectState.PLANNED)
        return change

    monkeypatch.setattr(work, "mark_sent", mark_sent)
    monkeypatch.setattr(work, "conclude", conclude)
    result = judged(place, "late-intents", monkeypatch)
    assert result["duplicates"] > 0
