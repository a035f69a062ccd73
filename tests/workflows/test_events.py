"""What a sweep raises an alarm about: once for each, and only for this shop."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert

from amends.cases import facts as f
from amends.cases.lateness import State
from amends.ledger import Ledger, Tx, Vault, intake, tasks
from amends.ledger.schema import sweeps, ticks
from amends.workflows.events import MANY, Alarm, alarms

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
STORM = f.Held(why="too many at once", by="amends", cause="storm")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}", Vault(bytes(32)))
    yield opened
    opened.close()


def open_case(tx: Tx, shop: str, number: str, *, at: datetime = NOW, held: f.Held | None = None) -> int:
    opening = intake.Opening(
        number=number, state=State.OVERDUE, why="late", playbook="p", policy="q", due_at=at, held=held
    )
    return intake.open_cases(tx, shop, [opening], at)[number]


def open_task(tx: Tx, case: int, kind: str, *, opened: datetime, due: datetime, shop: str = "demo") -> int:
    return tasks.open_task(tx, tasks.Opening(case, shop, "17", kind, due, effect=f"{kind}-{case}"), opened)


def swept(tx: Tx, *times: datetime) -> None:
    for at in times:
        tx.execute(insert(sweeps).values(shop="demo", started_at=ticks(at), ended_at=ticks(at), counts="{}"))


def found(ledger: Ledger, shop: str = "demo") -> list[Alarm]:
    return ledger.do(alarms, shop, since=NOW, now=NOW)


def test_a_quiet_sweep_raises_none(ledger: Ledger) -> None:
    ledger.do(open_case, "demo", "17")
    assert found(ledger) == []


def test_a_quarantined_act_is_told_by_the_sweep_that_met_it(ledger: Ledger) -> None:
    case = ledger.do(open_case, "demo", "17")
    earlier = ledger.do(open_case, "demo", "16")
    task = ledger.do(open_task, case, "find-out:message", opened=NOW, due=NOW + HOUR)
    ledger.do(open_task, earlier, "find-out:message", opened=NOW - HOUR, due=NOW + HOUR)
    (alarm,) = found(ledger)
    assert alarm.event == "amends.case.quarantined"
    assert alarm.payload == {"case": case, "order": "17", "act": "message", "task": task}
    assert found(ledger, "other") == []


def test_a_storm_is_one_alarm(ledger: Ledger) -> None:
    for number in ("1", "2", "3"):
        ledger.do(open_case, "demo", number, held=STORM)
    ledger.do(open_case, "demo", "4", at=NOW - HOUR, held=STORM)
    (alarm,) = found(ledger)
    assert (alarm.event, alarm.payload["held"]) == ("amends.shop.storm", 3)


def test_a_task_is_told_overdue_by_the_first_sweep_after_its_due_time(ledger: Ledger) -> None:
    case = ledger.do(open_case, "demo", "17")
    ledger.do(swept, NOW - 2 * HOUR, NOW - HOUR, NOW)
    for number, due in enumerate((NOW - 2 * HOUR, NOW - HOUR / 2, NOW + HOUR)):
        ledger.do(open_task, case, f"call-{number}", opened=NOW - 3 * HOUR, due=due)
    (alarm,) = found(ledger)
    assert (alarm.event, alarm.payload["what"]) == ("amends.task.overdue", "call-1")


def test_alarms_are_bounded(ledger: Ledger) -> None:
    case = ledger.do(open_case, "demo", "17")
    for number in range(MANY + 5):
        ledger.do(open_task, case, f"call-{number}", opened=NOW - HOUR, due=NOW)
    assert len(found(ledger)) == MANY
