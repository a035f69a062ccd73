"""The page when it is asked too often, or when the ledger is busy: a clear answer, and nothing is changed."""

from typing import Any

from tests.unit.inbox.house import house

from amends.inbox.customer import Limits
from amends.inbox.limits import RateLimit


async def test_too_often() -> None:
    async with house(limits=Limits(RateLimit(3), RateLimit(8))) as inbox:
        got = [(await inbox.browser.get(inbox.url)).status_code for _ in range(5)]
        assert got == [200, 200, 200, 429, 429]
        tried = await inbox.browser.post(inbox.url, data={"answer": "accept"})
        assert tried.status_code == 429 and int(tried.headers["retry-after"]) <= 61
        others = [(await inbox.browser.get(f"/r/{n}")).status_code for n in range(5)]
        assert others == [404, 404, 429, 429, 429]
        assert "replied" not in inbox.shop.kinds()


def test_the_rate_limit_forgets_old_asks_and_too_many_keys() -> None:
    now = [0.0]
    limit = RateLimit(2, within=60, keys=3, clock=lambda: now[0])
    assert [limit.wait("a") for _ in range(3)] == [0, 0, 60]
    now[0] = 60.0
    assert limit.wait("a") == 0
    for key in "bcde":
        limit.wait(key)
    assert len(limit._seen) == 3


async def test_a_busy_ledger() -> None:
    from amends.errors import LedgerLocked

    async with house() as inbox:
        run = inbox.shop.ledger.run

        async def locked(*args: Any, **more: Any) -> Any:
            raise LedgerLocked("locked")

        inbox.shop.ledger.run = locked  # type: ignore[method-assign]
        for answer in (
            await inbox.browser.get(inbox.url), await inbox.browser.post(inbox.url, data={"answer": "accept"})
        ):  # fmt: skip
            assert (
                answer.status_code == 503
                and "Nothing was changed" in answer.text
                and "retry-after" in answer.headers
            )
        health = await inbox.browser.get("/health")
        assert health.status_code == 503 and health.json()["ledger"] == "busy"
        inbox.shop.ledger.run = run  # type: ignore[method-assign]
        assert (await inbox.browser.post(inbox.url, data={"answer": "accept"})).status_code == 303
