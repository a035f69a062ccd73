"""Keys, texts and errors as Prefect may keep them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amends.cases import facts as f
from amends.cases.snapshot import Snapshot
from amends.errors import ConfigError, LedgerLocked, Rejected
from amends.workflows.masks import (
    KEPT,
    bare_problem,
    bare_why,
    masked,
    slug,
    tellable,
    without_words,
)

SHOP_NAME = st.from_regex(r"\w[\w-]{0,63}", fullmatch=True)


@pytest.mark.parametrize("name", ["flagship", "shop-2", "a", "1688", "east-coast-b2b"])
def test_a_plain_name_is_its_own_key(name: str) -> None:
    assert slug(name) == name


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("Flagship", "flagship-"),
        ("east_coast", "east-coast-"),
        ("a--b", "a-b-"),
        ("-", ""),
        ("旗舰店", ""),
        ("店-2", "2-"),
    ],
)
def test_an_odd_name_gets_a_key_of_its_own(name: str, begins: str) -> None:
    assert re.fullmatch(begins + r"[0-9a-f]{8}", slug(name))


def test_a_name_that_looks_like_another_ones_key_does_not_take_it() -> None:
    assert slug(slug("Flagship")) != slug("Flagship")


@given(st.sets(SHOP_NAME, min_size=2, max_size=8))
def test_keys_are_lowercase_letters_digits_and_dashes_and_never_shared(names: set[str]) -> None:
    keys = {slug(name) for name in names}
    assert len(keys) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", key) for key in keys)


def test_free_text_loses_addresses_and_numbers_and_keeps_order_numbers() -> None:
    mobile, spaced = (
        "139" + "0" * 8,
        " ".join(("139", "0" * 4, "0" * 4)),
    )  # in pieces: no such number stands in a file
    text = f"order 260302-000056 of kim@example.org,\n+86 {spaced} or {mobile}: 5.00 CNY by 2026-03-04 10:06"
    expected = "order 260302-000056 of (address), (number) or (number): 5.00 CNY by 2026-03-04 10:06"
    assert masked(text) == expected
    assert len(masked("x" * 1000)) == 300


@pytest.mark.parametrize(
    ("problem", "shown"),
    [
        ("demo: no connection to shop.example: kim (unreachable)", "demo: unreachable"),
        ("case 12: TypeError: 'Kim Li'", "case 12: TypeError"),
        ("demo is held: the key of Kim Li was revoked", "demo is held"),
    ],
)
def test_a_problem_is_shown_by_place_and_kind(problem: str, shown: str) -> None:
    assert bare_problem(problem) == shown


@pytest.mark.parametrize(
    "body",
    [
        f.TaskDone(task="1", what="call", outcome="done", by="lin", note="spoke to Kim Li"),
        f.Held(why="Kim Li is a friend", by="lin"),
        f.Released(by="lin", why="Kim Li called"),
        f.Unseen(why="no such buyer Kim Li", code="rejected", attempt=1, retry_at="2026-03-04T00:00:00Z"),
        f.FilingRejected(instance="complaint", effect="k", why="Kim Li has moved"),
        f.Uncertain(effect="k", act="message", why="to Kim Li"),
    ],
)
def test_what_people_and_platforms_say_is_left_out(body: f.Body) -> None:
    assert "Kim" not in str(without_words(body))


def test_a_reason_is_shown_without_such_words() -> None:
    case = Snapshot(1, "demo", "17")
    case.held = f.Held(why="Kim Li is a friend", by="lin")
    assert bare_why("held by lin: Kim Li is a friend", case) == f"held by lin: {KEPT}"
    assert (
        bare_why("shop demo is held by lin: Kim Li", Snapshot(1, "demo", "17")) == "shop demo is held by lin"
    )
    assert (
        bare_why("failed, tried again then: KeyError: 'Kim'", Snapshot(1, "demo", "17"))
        == "failed, tried again then"
    )
    assert bare_why("offer 2 was declined", case) == "offer 2 was declined"


def test_errors_about_our_own_house_are_told_in_full() -> None:
    told = tellable(ConfigError("shops.toml: [shops.demo] time_zone is missing"))
    assert isinstance(told, ConfigError)
    assert str(told) == "shops.toml: [shops.demo] time_zone is missing"
    assert isinstance(tellable(LedgerLocked("the ledger was locked")), LedgerLocked)


@pytest.mark.parametrize("error", [Rejected("no buyer Kim Li"), KeyError("Kim Li"), ValueError("Kim Li")])
def test_other_errors_are_told_by_kind_and_place(error: Exception) -> None:
    try:
        raise error
    except Exception as caught:
        told = str(tellable(caught))
    assert "Kim" not in told
    assert told.startswith(type(error).__name__)
    assert "tests/workflows/test_masks.py, line" in told
