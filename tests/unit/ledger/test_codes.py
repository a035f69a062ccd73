"""A code is good once, for one list and one person, for a time; guessing is counted, and only a signature is kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.unit.ledger.makers import DAY, HOUR, LATE, SHOP, in_threads, opened, row, sql, yuan

from amends.errors import ApprovalError
from amends.ledger import Ledger, approvals, codes
from amends.ledger.approvals import Item
from amends.ledger.codes import CODES, GUESSES


@pytest.fixture
def lists(ledger: Ledger) -> list[str]:
    """Two lists that wait."""
    cases = opened(ledger, "A-1", "A-2").values()
    items = [Item(case, "settle:1", row(ledger, case).version, "accepted", yuan("60")) for case in cases]
    return [
        ledger.do(approvals.freeze, SHOP, "settle", [item], now=LATE, expires_at=LATE + DAY) for item in items
    ]


def issue(ledger: Ledger, list_: str, person: str = "lin") -> str:
    return ledger.do(codes.issue, list_, person, expires_at=LATE + HOUR)


def take(ledger: Ledger, list_: str, given: str, person: str = "lin", **more: object) -> str:
    return ledger.do(codes.take, list_, person, given, **({"now": LATE} | more))  # type: ignore[arg-type]


def other_than(code: str) -> str:
    return f"{(int(code) + 1) % 10**8:08}"


def test_good_once(ledger: Ledger, lists: list[str]) -> None:
    code = issue(ledger, lists[0])
    assert len(code) == 8 and code.isdigit()
    assert take(ledger, lists[0], code) == ""
    assert "was used already, at 2026-11-23 08:00 UTC" in take(ledger, lists[0], code)


@pytest.mark.parametrize("written", ["{0} {1}", " {0}-{1}\n", "{2}"], ids=["blank", "dash", "full width"])
def test_however_it_is_written(ledger: Ledger, lists: list[str], written: str) -> None:
    code = issue(ledger, lists[0])
    wide = code.translate({ord("0") + n: ord("０") + n for n in range(10)})
    assert take(ledger, lists[0], written.format(code[:4], code[4:], wide)) == ""


def test_for_one_list_and_one_person(ledger: Ledger, lists: list[str]) -> None:
    code = issue(ledger, lists[0])
    issue(ledger, lists[1])
    issue(ledger, lists[0], "wang")
    assert "that is not lin's code" in take(ledger, lists[1], code)
    assert "that is not wang's code" in take(ledger, lists[0], code, "wang")
    assert "no code has been sent to zhao" in take(ledger, lists[0], code, "zhao")
    assert take(ledger, lists[0], code) == ""


def test_until_its_time_is_over(ledger: Ledger, lists: list[str]) -> None:
    code = issue(ledger, lists[0])
    assert "expired at 2026-11-23 09:00 UTC" in take(ledger, lists[0], code, now=LATE + HOUR)
    assert take(ledger, lists[0], code, now=LATE + HOUR / 2) == "", "looking too late uses nothing up"


def test_the_newest_counts(ledger: Ledger, lists: list[str]) -> None:
    old, new = issue(ledger, lists[0]), issue(ledger, lists[0])
    assert "that is not lin's code" in take(ledger, lists[0], old)
    assert take(ledger, lists[0], new) == ""


def test_it_survives_a_restart_and_is_kept_only_as_a_signature(
    reopen: Callable[[], Ledger], ledger: Ledger, lists: list[str]
) -> None:
    code = issue(ledger, lists[0])
    kept = repr(sql(ledger, "SELECT * FROM approval_codes"))
    assert code not in kept and code[:4] not in kept
    assert take(reopen(), lists[0], code) == ""


def test_guessing_ends_after_five(ledger: Ledger, lists: list[str]) -> None:
    code = issue(ledger, lists[0])
    told = [take(ledger, lists[0], other_than(code)) for _ in range(GUESSES)]
    assert [text.rpartition("; ")[2] for text in told] == [
        "4 more tries", "3 more tries", "2 more tries", "1 more try", "0 more tries",
    ]  # fmt: skip
    assert "the code is void" in take(ledger, lists[0], code), "even the right one"
    assert take(ledger, lists[0], issue(ledger, lists[0])) == "", "another one is good again"


def test_guessing_at_many_places_at_once_ends_after_five(
    ledger: Ledger, lists: list[str], reopen: Callable[[], Ledger]
) -> None:
    code = issue(ledger, lists[0])
    ledgers = [reopen() for _ in range(4)]
    told = in_threads(12, lambda n: take(ledgers[n % 4], lists[0], other_than(code)))
    assert sum("that is not lin's code" in text for text in told) == GUESSES
    assert "the code is void" in take(ledger, lists[0], code)


def test_used_at_two_places_at_once_counts_once(
    ledger: Ledger, lists: list[str], reopen: Callable[[], Ledger]
) -> None:
    code = issue(ledger, lists[0])
    ledgers = [reopen() for _ in range(4)]
    told = in_threads(4, lambda n: take(ledgers[n], lists[0], code))
    assert sorted(text == "" for text in told) == [False, False, False, True]


def test_only_so_many_are_sent(ledger: Ledger, lists: list[str]) -> None:
    made = [issue(ledger, lists[0]) for _ in range(CODES)]
    assert len(set(made)) == CODES
    with pytest.raises(ApprovalError, match="lin has had 6 codes"):
        issue(ledger, lists[0])
    assert take(ledger, lists[0], made[-1]) == ""
    assert issue(ledger, lists[0], "wang") and issue(ledger, lists[1])


def test_one_that_never_left_counts_as_none(ledger: Ledger, lists: list[str]) -> None:
    for _ in range(2 * CODES):
        code = issue(ledger, lists[0])
        ledger.do(codes.withdraw, lists[0], "lin")
    assert "no code has been sent" in take(ledger, lists[0], code)


def test_an_own_code_is_good_once_a_list_and_locked_after_guessing(ledger: Ledger, lists: list[str]) -> None:
    for _ in range(GUESSES):
        assert "that is not wang's code" in take(ledger, lists[0], "black-tea-7", "wang", own="green-tea-7")
    assert "too many wrong codes" in take(ledger, lists[0], "green-tea-7", "wang", own="green-tea-7")
    assert take(ledger, lists[1], "green tea 7", "wang", own="green-tea-7") == ""
    assert "used already" in take(ledger, lists[1], "green-tea-7", "wang", own="green-tea-7")


def test_there_is_no_code_for_a_list_that_is_not_there(ledger: Ledger) -> None:
    with pytest.raises(ApprovalError, match="no approval list 'nix'"):
        issue(ledger, "nix")
    with pytest.raises(ApprovalError, match="no approval list 'nix'"):
        take(ledger, "nix", "12345678")
