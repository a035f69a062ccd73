"""The flow that waits for a named person's yes or no to one frozen list.

One run per list: it suspends with a form, checks the answer against the ledger when it is resumed, and asks again with
the reason where the answer does not hold. The decision is the same as `amends approve` and `reject` record. The list's
truth is the ledger; a run whose list is decided or expired elsewhere is ended by the next sweep.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from prefect import State, flow, get_run_logger
from prefect.artifacts import acreate_table_artifact
from prefect.flow_runs import asuspend_flow_run
from prefect.input.actions import adelete_flow_run_input, aread_flow_run_input
from prefect.runtime import flow_run
from prefect.states import Completed
from prefect.utilities.urls import url_for
from pydantic import ValidationError

from amends.cases.snapshot import fold
from amends.clock import FixedClock, SystemClock
from amends.errors import ApprovalError, CaseError, ConfigError
from amends.hooks.registry import Registry
from amends.ledger import Tx, approvals, chain, notices
from amends.ledger.codes import plain
from amends.settings import Settings
from amends.steps.ask_approvers import Asking, able, ask_approvers, hold_undecided, send_code
from amends.steps.decide_list import check, decide_list
from amends.workflows.approve_form import ROWS, Answer, Asked, artifact_key, describe, make_form, rows_of
from amends.workflows.approve_runs import Decided, decided_of
from amends.workflows.faults import told
from amends.workflows.masks import bare_problem, bare_why, masked
from amends.workflows.opening import opened_ledger, read_settings

GRACE = timedelta(hours=6)
"""After a list expired, sweeps have this long to end its run before Prefect fails it."""


def _run_name() -> str:
    return f"approve-{flow_run.parameters['list_id']}"


@flow(name="approve", flow_run_name=_run_name, retries=0, persist_result=False, log_prints=False)
async def approve(list_id: str, config: str | None = None, now: datetime | None = None) -> Decided:
    """Wait for a person's yes or no to one frozen list.

    `list_id` is the list as `amends approvals` names it; `config` and `now` are as for a sweep. The run suspends: open
    it and choose Resume to see what is asked and to answer.
    """
    async with told():
        settings = read_settings(config)
        clock = SystemClock() if now is None else FixedClock(now)
        async with opened_ledger(settings) as ledger:
            link = url_for("flow-run", flow_run.id) if flow_run.id else ""

            def registry() -> Registry:
                return Registry.load(allow=settings.plugins.allow, deny=settings.plugins.deny)

            asking = Asking(settings, ledger, clock, registry, {list_id: link or ""})
            decided = await _until_decided(asking, list_id)
    return _ended(decided)  # type: ignore[return-value]  # Prefect unpacks a state that a flow returns: callers get its data


def _ended(decided: Decided) -> State[Decided]:
    return Completed(name=decided.name, message=decided.told(), data=decided)


class _Waiting(logging.Filter):
    """Prefect logs every end of a run that is not "completed" as an error; to wait for a person is none."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "Finished in state Suspended" not in record.getMessage()


async def _until_decided(asking: Asking, list_id: str) -> Decided:
    logging.getLogger("prefect.flow_runs").addFilter(_Waiting())
    log = get_run_logger()
    while True:
        listing = await asking.ledger.run(find, asking.settings, list_id, asking.clock.now())
        if listing.state != "open" or not listing.waiting:
            await _forget(listing.round)
            return decided_of(listing)
        if not able(asking.settings):
            raise ConfigError(
                f"list {list_id} waits for a person, and config names none who could show who they are",
                hint="Add a table [approvers.NAME] with a channel or a code.",
            )
        for problem in await ask_approvers(asking, listing.shop, only=list_id):
            log.warning("%s", bare_problem(problem))
        asked = await asking.ledger.run(look, list_id)
        await _publish(asking, asked)
        left = listing.expires_at - asking.clock.now() + GRACE
        try:
            answer = await asuspend_flow_run(
                wait_for_input=make_form(asking.settings, asked), key=f"ask-{listing.round}",
                timeout=max(60, int(left.total_seconds())),
            )  # fmt: skip
        except ValidationError as error:
            problem = misfit(error)
        else:
            problem = await take(asking, list_id, answer)
        await asking.ledger.run(approvals.put_again, list_id, problem)
        await _forget(listing.round)


async def _forget(round_: int) -> None:
    """Take the answer out of Prefect's database: it holds a code."""
    key = f"suspended-ask-{round_}-response"
    try:
        if await aread_flow_run_input(key) is not None:
            await adelete_flow_run_input(key)
    except Exception as error:  # the code is used up, and the ledger has the decision
        get_run_logger().warning("the answer was not deleted from Prefect: %s", type(error).__name__)


def find(tx: Tx, settings: Settings, list_id: str, now: datetime) -> approvals.Listing:
    """The list as it stands. One whose time has passed is held or expires first, as in a sweep."""
    listing = approvals.get(tx, list_id)
    if listing.state == "open" and now >= listing.expires_at:
        hold_undecided(tx, settings, listing.shop, now)
        approvals.expire(tx, listing.shop, now)
        listing = approvals.get(tx, list_id)
    return listing


def look(tx: Tx, list_id: str) -> Asked:
    """The list as its form shows it."""
    listing = approvals.get(tx, list_id)
    shown = listing.waiting[: 2 * ROWS]
    facts = chain.load(tx, sorted({item.case for item in shown}))
    cases = {case: fold(rows, case=case) for case, rows in facts.items()}
    prefix = "a person must approve {}: "
    why = {
        (item.case, item.what): bare_why(item.why.removeprefix(prefix.format(item.what)), cases[item.case])
        for item in shown
    }
    states: dict[str, set[str]] = {}
    for line in notices.log(tx, [list_id]).get(list_id, ()):
        states.setdefault(line.person, set()).add(line.state)
    unreached = [name for name, found in sorted(states.items()) if not found & {"sent", "none"}]
    return Asked(listing, why, unreached)


async def _publish(asking: Asking, asked: Asked) -> None:
    first = describe(asking.settings, asked).partition("\n- case")[0].strip()
    list_id = asked.listing.id
    try:
        await acreate_table_artifact(rows_of(asked), key=artifact_key(list_id), description=first)
    except Exception as error:  # the form shows the same
        get_run_logger().warning("the table of %s was not published: %s", list_id, type(error).__name__)


def misfit(error: ValidationError) -> str:
    """Why an answer does not fit the form: the list was decided in part while somebody filled it in."""
    for one in error.errors():
        if one["loc"] == ("approver",) and isinstance(one.get("input"), str):
            return masked(
                f"{one['input']} has said yes already, or is no approver: another person must answer"
            )
    return "the form came back without an answer"


async def take(asking: Asking, list_id: str, answer: Answer) -> str:
    """Record the answer; tells why it does not count, and nothing where it does."""
    now = asking.clock.now()
    try:
        word = answer.word()
        await asking.ledger.run(check, asking.settings, list_id, word, now)
        if not plain(word.code) and asking.settings.approver(word.by).channel:
            way = await send_code(asking, list_id, word.by)
            return f"a code has been sent to {word.by} by {way}; only the newest counts"
        await decide_list(asking.settings, asking.ledger, list_id, word, now)
    except (ApprovalError, CaseError, ConfigError) as error:
        return masked(error.message)
    return ""
