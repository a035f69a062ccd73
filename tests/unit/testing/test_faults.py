"""Faults on purpose: drawn by request and attempt alone, and mapped by our HTTP client to what they mean."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amends import (
    AmendsError,
    BadAnswer,
    Http,
    InputError,
    Message,
    PlatformError,
    Throttled,
    TimedOut,
    Unavailable,
    Unreachable,
)
from amends.testing.faults import PRESETS, Dice, Fault, Faults, FaultTransport, Trouble
from amends.testing.inprocess import InProcess, in_process_spec
from amends.testing.marketplace import START, Marketplace
from amends.testing.webhooks import sign, verify

IDENTITIES = [f"message {n} 1" for n in range(6)]


@given(st.permutations(IDENTITIES * 5), st.integers(0, 99))
def test_faults_do_not_depend_on_what_else_is_under_way(mixed: list[str], seed: int) -> None:
    def rolled(order: list[str]) -> dict[str, list[Fault]]:
        dice, found = Dice(seed, PRESETS["heavy"]), {name: [] for name in IDENTITIES}  # type: dict[str, list[Fault]]
        for name in order:
            found[name].append(dice.roll(name, write=True))
        return found

    assert rolled(mixed) == rolled(sorted(mixed))


def test_faults_come_as_often_as_asked() -> None:
    dice = Dice(7, Faults(p_429=0.1, p_reset_after_commit=0.2))
    rolls = [dice.roll(f"message {n} 1", write=True) for n in range(4000)]
    assert 300 < rolls.count(Fault.THROTTLED) < 500
    assert 680 < rolls.count(Fault.RESET_AFTER) < 920
    reads = [dice.roll(f"order {n}", write=False) for n in range(1000)]
    assert Fault.RESET_AFTER not in reads


def test_the_demo_resets_at_least_five_per_cent_of_writes() -> None:
    demo = PRESETS["demo"]
    assert demo.p_reset_after_commit >= 0.05
    assert demo.p_429 and demo.p_5xx and demo.duplicate_webhooks


def test_knobs_are_read_from_text() -> None:
    assert Faults.parse("demo") == PRESETS["demo"]
    assert Faults.parse("") == Faults()
    assert Faults.parse("p_429=0.5, visibility_lag=2m").p_429 == 0.5
    assert Faults.parse('{"p_5xx": 0.25}').p_5xx == 0.25
    for wrong in ("p_429=2", "nonsense", "p_999=0.1"):
        with pytest.raises(InputError, match="faults"):
            Faults.parse(wrong)


@pytest.mark.parametrize(
    ("trouble", "error", "arrived"),
    [
        (Trouble.NONE, None, True),
        (Trouble.CONNECT, Unreachable, False),
        (Trouble.RESET_BEFORE, TimedOut, False),
        (Trouble.RESET_AFTER, TimedOut, True),
        (Trouble.TIMEOUT_BEFORE, TimedOut, False),
        (Trouble.TIMEOUT_AFTER, TimedOut, True),
        (Trouble.THROTTLED, Throttled, False),
        (Trouble.FAILED, Unavailable, False),
        (Trouble.FAILED_AFTER, Unavailable, True),
        (Trouble.TRUNCATED, BadAnswer, True),
        (Trouble.NOT_JSON, BadAnswer, True),
    ],
)
async def test_each_trouble_is_mapped(
    trouble: Trouble, error: type[AmendsError] | None, arrived: bool
) -> None:
    requests: list[httpx.Request] = []

    def serve(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, json={"state": "done", "ref": "1"})

    transport = FaultTransport(httpx.MockTransport(serve), [trouble])
    http = Http(httpx.AsyncClient(transport=transport), who="shop")
    if error is None:
        assert await http.json("POST", "http://shop.invalid/messages") == {"state": "done", "ref": "1"}
    else:
        with pytest.raises(error) as raised:
            await http.json("POST", "http://shop.invalid/messages")
        assert isinstance(raised.value, PlatformError)
        assert not (arrived and raised.value.sure_not_done)
    assert bool(requests) is arrived
    assert transport.log == [("POST", "/messages", trouble)]


async def test_in_process_faults_commit_before_they_break() -> None:
    market = Marketplace()
    market.set_clock(START.replace(day=5))
    connector = InProcess(market, Faults(p_reset_after_commit=1.0))
    number = (await connector.changed_orders("")).orders[0].number
    message = Message(key="k", order=number, round=1, text="Sorry.")
    with pytest.raises(TimedOut):
        await connector.message(message)
    assert len(market.entries) == 1
    assert await connector.find(message) is not None
    spec = in_process_spec(market)
    assert spec.operation("grant", "refund").reviewed
    assert spec.operation("extend").effect == "blind"


def test_a_webhook_is_signed() -> None:
    headers = sign("s3cret", "e1", START, b"{}")
    hour = START.replace(hour=1) - START
    assert verify("s3cret", {k.upper(): v for k, v in headers.items()}, b"{}", now=START, age=hour) == "e1"
    for secret, body, now in (
        ("other", b"{}", START),
        ("s3cret", b"[]", START),
        ("s3cret", b"{}", START + 2 * hour),
    ):
        with pytest.raises(AmendsError):
            verify(secret, headers, body, now=now, age=hour)
    with pytest.raises(AmendsError):
        verify("s3cret", {}, b"{}", now=START, age=hour)
