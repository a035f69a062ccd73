"""A CSV file is streamed: ten times the rows need no more memory to read."""

import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest

from amends.cases.rules import RuleBook
from amends.steps.triage import triage
from amends_spreadsheet import Mapping, read_orders

NOW = datetime(2026, 3, 20, tzinfo=UTC)
MAPPING = Mapping.model_validate(
    {
        "columns": {"number": "id", "placed_at": "at", "amount": "sum", "ship_by": "by"},
        "currency": "USD",
        "time_zone": "UTC",
    }
)


def lines(count: int) -> Iterator[str]:
    yield "id,at,sum,by\n"
    start = datetime(2026, 3, 1, tzinfo=UTC)
    for n in range(count):
        placed = start + timedelta(seconds=n)
        until = placed + timedelta(days=2)
        yield f"order-{n},{placed:%Y-%m-%d %H:%M:%S},{n % 100}.50,{until:%Y-%m-%d %H:%M:%S}\n"


def peak(path: Path) -> int:
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_orders(path, MAPPING, now=NOW)) > 0
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_reading_does_not_grow_with_the_file(tmp_path: Path) -> None:
    small, large = tmp_path / "small.csv", tmp_path / "large.csv"
    for path, count in ((small, 10_000), (large, 100_000)):
        with path.open("w", encoding="utf-8") as file:
            file.writelines(lines(count))
    assert peak(large) < peak(small) + 2_000_000


@pytest.mark.slow
def test_triage_grows_by_the_order_numbers_only() -> None:
    data = BytesIO("".join(lines(50_000)).encode())
    tracemalloc.start()
    try:
        result = triage(read_orders(data, MAPPING, now=NOW), now=NOW, rules=RuleBook())
        used = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(result.late) == 50_000  # all of them late, kept outside memory
    assert used < 50_000 * 200 + 15_000_000
