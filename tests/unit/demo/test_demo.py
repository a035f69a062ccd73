"""The demo: every story occurs, nothing is repeated or lost, and the same seed gives the same again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amends.demo import judge
from amends.demo.run import Demo
from amends.demo.world import SHOP
from amends.errors import InputError
from amends.ledger import Ledger, Vault, views
from amends.settings import Settings
from amends.testing.journal import Entry

SMALL = {"orders": 50, "days": 6, "seed": 3}
TINY = {"orders": 12, "days": 1, "seed": 5}


def run(state: Path, **options: Any) -> tuple[dict[str, Any], Demo]:
    """Run a demo without Prefect; answers with its JSON but for the seconds."""
    demo = Demo(state, prefect=False, say=lambda text: None, **options)
    result = demo.run()
    assert result.pop("seconds") > 0
    return result, demo


@pytest.fixture(scope="module")
def whole(place: Path) -> tuple[dict[str, Any], Demo]:
    return run(place / "whole", orders=200, days=10, seed=7)


@pytest.fixture(scope="module")
def small(place: Path) -> dict[str, Any]:
    return run(place / "small", **SMALL)[0]


def test_nothing_is_repeated_lost_or_broken(whole: tuple[dict[str, Any], Demo]) -> None:
    result, demo = whole
    assert demo.losses == []
    assert (result["duplicates"], result["lost"], result["evidence"]["broken"]) == (0, 0, 0)
    assert result["evidence"]["verified"] == result["evidence"]["chains"] == result["cases"]["total"]
    assert result["quarantined"] > 0  # the faults bit


def test_every_story_occurs(whole: tuple[dict[str, Any], Demo]) -> None:
    stories = whole[1].stories
    assert len(stories) == 12
    assert [name for name, n in stories.items() if not n] == []


def test_most_cases_are_closed_and_every_other_waits_for_a_named_reason(
    whole: tuple[dict[str, Any], Demo],
) -> None:
    result, demo = whole
    closed = sum(result["cases"]["outcomes"].values())
    assert closed >= 0.8 * result["cases"]["total"] > 80
    assert closed + sum(result["cases"]["stages"].values()) == result["cases"]["total"]
    for line in _cases(demo.state):
        assert line.outcome or (line.due_at is not None and line.why)


def test_the_tables_add_up(whole: tuple[dict[str, Any], Demo]) -> None:
    result, _ = whole
    assert set(result) == {
        "orders", "late", "at_risk", "cases", "effects", "duplicates", "lost", "quarantined", "money", "evidence", "tasks",
        "seed",
    }  # fmt: skip
    assert result["tasks"]["opened"] == result["tasks"]["done"] + result["tasks"]["open"]
    assert result["tasks"]["opened"] == sum(result["tasks"]["kinds"].values())
    assert {
        "message",
        "grant:coupon",
        "grant:refund",
        "extend",
        "complain",
        "respond",
        "arbitrate",
        "legal",
    } <= set(result["effects"])
    assert {"offered", "settled", "penalty_at_stake"} <= set(result["money"])
    assert float(result["money"]["offered"]["CNY"]) > 0


def test_the_same_seed_gives_the_same(place: Path, small: dict[str, Any]) -> None:
    assert run(place / "again", **SMALL)[0] == small


def test_interrupted_and_resumed_it_comes_to_the_same(place: Path, small: dict[str, Any]) -> None:
    run(place / "halves", **SMALL, stop_after=9)
    result, _demo = run(place / "halves", **SMALL, stop_after=17)
    assert result["cases"] != small["cases"]
    assert run(place / "halves", **SMALL)[0] == small


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_other_seeds(place: Path, seed: int) -> None:
    result, demo = run(place / f"seed-{seed}", orders=30, days=5, seed=seed)
    assert demo.losses == []
    assert (result["duplicates"], result["lost"], result["evidence"]["broken"]) == (0, 0, 0)


def test_without_faults_nothing_is_uncertain(place: Path) -> None:
    result, _ = run(place / "calm", orders=30, days=5, seed=1, faults="none")
    assert (result["quarantined"], result["duplicates"], result["lost"]) == (0, 0, 0)
    assert all(set(states) <= {"confirmed", "rejected", "sent"} for states in result["effects"].values())


def test_a_finished_state_starts_clean(place: Path) -> None:
    first, _ = run(place / "finished", **TINY)
    (place / "finished" / "left-over").write_text("x")
    again, _ = run(place / "finished", **TINY)
    assert again == first and not (place / "finished" / "left-over").exists()
    other, _ = run(place / "finished", **TINY | {"seed": 6})
    assert other["seed"] == 6


def test_an_unfinished_state_wants_the_same_options(place: Path) -> None:
    run(place / "unfinished", **TINY, stop_after=1)
    with pytest.raises(InputError, match="unfinished demo of 12 orders, 1 days, seed 5"):
        run(place / "unfinished", **TINY | {"seed": 6})
    assert run(place / "unfinished", **TINY)[0]["lost"] == 0


def test_a_foreign_folder_is_left_alone(place: Path) -> None:
    folder = place / "foreign"
    folder.mkdir()
    (folder / "thesis.tex").write_text("ten years")
    with pytest.raises(InputError, match="no demo's state"):
        run(folder, **TINY)
    assert [file.name for file in folder.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    "left", [{"demo.new": "{}"}, {"demo.json": json.dumps({"finished": True})}], ids=["begun", "cleaned"]
)
def test_what_a_kill_leaves_of_a_beginning_is_no_foreign_folder(place: Path, left: dict[str, str]) -> None:
    """Killed while the first mark was written, or while the finished state was cleared away."""
    folder = place / f"left-{min(left)}"
    folder.mkdir()
    for name, text in left.items():
        (folder / name).write_text(text)
    assert run(folder, **TINY)[0]["lost"] == 0


def test_clearing_away_a_finished_state_takes_its_mark_last(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place / "cleared"
    run(folder, **TINY)
    import shutil

    real: Callable[..., Any] = shutil.rmtree

    def killed(path: Any, *args: Any, **more: Any) -> None:
        """Remove what comes first, then die."""
        if Path(path) == folder:
            (folder / "demo.json").unlink()
            raise KeyboardInterrupt
        real(path, *args, **more)
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        run(folder, **TINY)
    monkeypatch.undo()
    assert run(folder, **TINY)[0]["lost"] == 0


def test_the_judge_counts_what_was_taken_out_of_the_journal(place: Path, small: dict[str, Any]) -> None:
    """A journal with an entry twice, and one with an entry missing, are told apart from the true one."""
    ledger = _ledger(place / "small")
    found = ledger.do(judge.gather, SHOP)
    ledger.close()
    lines = (place / "small" / "sandbox" / "journal.jsonl").read_text().splitlines()
    journal = [Entry.model_validate_json(line) for line in lines]
    now = journal[-1].at
    assert judge.lost(found, journal, now) == []
    messages = [entry for entry in journal if entry.op == "message"]
    assert len(judge.duplicates([*journal, messages[0]])) == 1
    without = [entry for entry in journal if entry is not messages[0]]
    (loss,) = judge.lost(found, without, now)
    assert messages[0].order in loss and "the platform has none" in loss
    strange = messages[0].model_copy(update={"round": 9})
    (loss,) = judge.lost(found, [*journal, strange], now)
    assert "the ledger knows of none" in loss


def _ledger(state: Path) -> Ledger:
    settings = Settings.load(state / "config")
    return Ledger.open(settings.ledger_url, Vault(settings.ledger_key()))


def _cases(state: Path) -> list[views.CaseLine]:
    ledger = _ledger(state)
    found = ledger.do(views.case_lines)
    ledger.close()
    return found
