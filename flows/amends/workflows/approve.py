"""The flow that waits for a named person's yes or no to one frozen list, and how sweeps start it.

One run per list: it suspends with a form, checks the answer against the ledger when it is resumed, and asks again with
the reason where the answer does not hold. The decision is the same as `amends approve` and `reject` record. The list's
truth is the ledger; a run whose list is decided or expired elsewhere is ended by the next sweep.
"""

from __future__ import annotations

import hmac
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from prefect import State, flow, get_run_logger
from prefect.artifacts import acreate_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.deployments import arun_deployment
from prefect.exceptions import ObjectNotFound
from prefect.flow_runs import asuspend_flow_run
from prefect.input import RunInput
from prefect.input.actions import adelete_flow_run_input, aread_flow_run_input
from prefect.runtime import flow_run
from prefect.states import Completed
from prefect.utilities.urls import url_for
from pydantic import Field, ValidationError, create_model
from sqlalchemy import select

from amends.cases.money import Money
from amends.cases.orders import Personal
from amends.cases.snapshot import fold
from amends.clock import FixedClock, SystemClock
from amends.errors import AmendsError, ApprovalError, CaseError, ConfigError
from amends.hooks.protocols import Clock, Context
from amends.hooks.registry import Registry
from amends.hooks.requests import Message
from amends.ledger import Ledger, Tx, approvals, chain, views
from amends.ledger.schema import meta, ticks
from amends.settings import Settings, channel_config
from amends.steps import people
from amends.steps.shop import Shop
from amends.workflows.faults import told
from amends.workflows.masks import bare_problem, bare_why, masked, slug
from amends.workflows.opening import opened_ledger, read_settings

DEPLOYMENT = "approve/approve"
"""The deployment whose runs wait for people."""

YES, BUT, NO = "approve all", "approve all but the exceptions", "reject all"
GUESSES = 5
"""Wrong codes after which a code is void and another is sent."""
RUNS = 20
"""Runs that one list may have, should somebody cancel them or a machine die under them."""
ROWS = 50
"""Acts that the form shows; the artifact shows twice as many."""
_LIVE = [one for one in StateType if one.name not in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")]
GRACE = timedelta(hours=6)
"""After a list expired, sweeps have this long to end its run before Prefect fails it."""


class Answer(RunInput):
    """What the form asks. Nothing that decides has a default: a run resumed without an answer decides nothing."""

    # Few words: Prefect's dialogue takes their room from the list of acts above them.
    decision: Literal["approve all", "approve all but the exceptions", "reject all"] = Field(title="Decision")
    approver: str = Field(title="Approver")
    code: str = Field(default="", title="Code", description="The one that reached you for this list, if any.")
    exceptions: str = Field(
        default="", title="Exceptions", description="Cases or orders that get a no, commas between."
    )
    note: str = Field(default="", title="Note")


@dataclass(frozen=True, slots=True)
class Decided:
    """How a list ended: its state in the ledger, and how many acts got which answer."""

    list_id: str
    state: str
    approved: int = 0
    refused: int = 0
    stale: int = 0
    by: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """In one word for Prefect's state."""
        if self.state == "expired":
            return "Expired"
        if self.approved and not self.refused and not self.stale:
            return "Approved"
        return "Partly approved" if self.approved else "Rejected" if self.refused else "Decided"

    def told(self) -> str:
        """In one line."""
        if self.state == "expired":
            return f"{self.list_id} expired undecided; the next sweep asks anew what is still wanted"
        parts = [
            (self.approved, "approved"),
            (self.refused, "refused"),
            (self.stale, "changed meanwhile, asked anew"),
        ]
        counts = ", ".join(f"{count} {word}" for count, word in parts if count) or "nothing waited any more"
        return f"{self.list_id}: {counts}" + (f", by {', '.join(self.by)}" if self.by else "")


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
            decided = await _until_decided(settings, ledger, clock, list_id)
    return _ended(decided)  # type: ignore[return-value]  # Prefect unpacks a state that a flow returns: callers get its data


def _ended(decided: Decided) -> State[Decided]:
    return Completed(name=decided.name, message=decided.told(), data=decided)


class _Waiting(logging.Filter):
    """Prefect logs every end of a run that is not "completed" as an error; to wait for a person is none."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "Finished in state Suspended" not in record.getMessage()


async def _until_decided(settings: Settings, ledger: Ledger, clock: Clock, list_id: str) -> Decided:
    logging.getLogger("prefect.flow_runs").addFilter(_Waiting())
    while True:
        asked = await ledger.run(look, list_id, clock.now())
        if asked.listing.state != "open" or not asked.listing.waiting:
            await _forget(asked.round)
            return decided_of(asked.listing)
        if not settings.approvers:
            raise ConfigError(
                f"list {list_id} waits for a person, and config names none",
                hint="Add a table [approvers.NAME].",
            )
        unsent = await send_codes(settings, ledger, clock, asked.listing)
        form = make_form(settings, asked, unsent)
        await _publish(asked, settings)
        left = asked.listing.expires_at - clock.now() + GRACE
        answer: Answer | None = None
        try:
            answer = await asuspend_flow_run(
                wait_for_input=form, key=f"ask-{asked.round}", timeout=max(60, int(left.total_seconds()))
            )
        except ValidationError:
            pass  # resumed without an answer, or with one that Prefect could not check
        await take(settings, ledger, clock, asked, answer)
        await _forget(asked.round)


async def _forget(round_: int) -> None:
    """Take the answer out of Prefect's database: it holds a code."""
    key = f"suspended-ask-{round_}-response"
    try:
        if await aread_flow_run_input(key) is not None:
            await adelete_flow_run_input(key)
    except Exception as error:  # the code is used up, and the ledger has the decision
        get_run_logger().warning("the answer was not deleted from Prefect: %s", type(error).__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """A list as it is shown now: which round of asking this is, why the last answer did not count, what each act is."""

    listing: approvals.Listing
    round: int
    problem: str
    why: Mapping[tuple[int, str], str]


def look(tx: Tx, list_id: str, now: datetime) -> Asked:
    """The list and where its asking stands. A list whose time has passed is marked expired first."""
    listing = approvals.get(tx, list_id)
    if listing.state == "open" and now >= listing.expires_at:
        approvals.expire(tx, listing.shop, now)
        listing = approvals.get(tx, list_id)
    kept = _kept(tx, f"asked:{list_id}")
    shown = listing.waiting[: 2 * ROWS]
    facts = chain.load(tx, sorted({item.case for item in shown}))
    cases = {case: fold(rows, case=case) for case, rows in facts.items()}
    prefix = "a person must approve {}: "
    why = {
        (item.case, item.what): bare_why(item.why.removeprefix(prefix.format(item.what)), cases[item.case])
        for item in shown
    }
    return Asked(listing, kept.get("round", 1), kept.get("problem", ""), why)


def decided_of(listing: approvals.Listing) -> Decided:
    """What became of a list's acts."""
    count = {
        word: sum(item.decision == word for item in listing.items)
        for word in ("approved", "refused", "stale")
    }
    people_ = sorted({name for item in listing.items for name in item.decided_by.split(",") if name})
    state = "decided" if listing.state == "open" else listing.state
    return Decided(listing.id, state, **count, by=tuple(people_))


def make_form(settings: Settings, asked: Asked, unsent: Sequence[str] = ()) -> type[Answer]:
    """The form of one round: only approvers whose yes is still missing, and the table as its description."""
    said = [set(item.decided_by.split(",")) - {""} for item in asked.listing.waiting]
    done = set.intersection(*said) if said else set()
    names = [name for name in sorted(settings.approvers) if name not in done] or sorted(settings.approvers)
    shown = Answer.model_fields["approver"]
    choice: Any = Literal[tuple(names)]
    form = create_model(
        "Approval",
        __base__=Answer,
        approver=(choice, Field(title=shown.title)),
    )
    form._description = describe(settings, asked, done, unsent)  # where Prefect's `with_initial_data` puts it
    return form


def describe(settings: Settings, asked: Asked, done: set[str], unsent: Sequence[str] = ()) -> str:
    """What is to be approved, in markdown, without anything personal."""
    listing = asked.listing
    zone = settings.shop(listing.shop).zone
    many = f"{len(listing.waiting)} act{'' if len(listing.waiting) == 1 else 's'}"
    lines = [f"**Asked again: {asked.problem}**", ""] if asked.problem else []
    lines += [
        f"**{listing.kind}** · shop **{listing.shop}** · {many}{_total(listing.waiting)} · "
        f"until {listing.expires_at.astimezone(zone):%Y-%m-%d %H:%M} ({zone.key})",
        "",
    ]
    if any(item.people > 1 for item in listing.waiting):
        gave = f"; {', '.join(sorted(done))} said yes already" if done else ""
        lines += [f"Acts over the second limit need two people{gave}.", ""]
    # A list, not a table: the dialogue of Prefect's pages squeezes a table to nothing.
    for item in listing.waiting[:ROWS]:
        amount = f" · **{item.amount}**" if item.amount else ""
        lines.append(
            f"- case {item.case} · order {item.number}{amount} · {item.what} · {asked.why[item.case, item.what]}"
        )
    if len(listing.waiting) > ROWS:
        rest = len(listing.waiting) - ROWS
        lines.append(f"\nand {rest} more: artifact `{artifact_key(listing.id)}`, or `amends approvals`")
    lines += ["", *(f"No code reached {name}." for name in unsent)]
    return "\n".join(lines).rstrip()


def artifact_key(list_id: str) -> str:
    """Where a list's table is found: `approval-<list>`, whose ids are keys already."""
    return f"approval-{list_id}" if re.fullmatch(r"[a-z0-9-]+", list_id) else f"approval-{slug(list_id)}"


def _total(items: Sequence[approvals.Item]) -> str:
    sums: dict[str, int] = {}
    for item in items:
        if item.amount is not None:
            sums[item.amount.currency] = sums.get(item.amount.currency, 0) + item.amount.minor
    return "".join(f" · {Money(minor=minor, currency=currency)}" for currency, minor in sorted(sums.items()))


async def _publish(asked: Asked, settings: Settings) -> None:
    rows = [
        {
            "case": str(item.case), "order": item.number, "act": item.what, "amount": str(item.amount or ""),
            "people needed": str(item.people), "why": asked.why[item.case, item.what],
        }
        for item in asked.listing.waiting[: 2 * ROWS]
    ]  # fmt: skip
    first = describe(settings, asked, set()).partition("\n- case")[0].strip()
    try:
        await acreate_table_artifact(rows, key=artifact_key(asked.listing.id), description=first)
    except Exception as error:  # the form shows the same
        get_run_logger().warning(
            "the table of %s was not published: %s", asked.listing.id, type(error).__name__
        )


async def take(settings: Settings, ledger: Ledger, clock: Clock, asked: Asked, answer: Answer | None) -> None:
    """Record the answer, or why it does not count; either way this round of asking is over."""
    if answer is None:
        problem = "the form came back without an answer"
    else:
        try:
            secret = _own_code(settings, answer.approver)
            await ledger.run(_decide, settings, asked, answer, clock.now(), secret)
            return
        except (ApprovalError, CaseError, ConfigError) as error:
            problem = masked(error.message)
            if isinstance(error, WrongCode):
                await ledger.run(_miss, asked.listing.id, answer.approver)
    await ledger.run(_over, asked, problem)


class WrongCode(ApprovalError):
    """The code is not the one that reached this approver for this list."""


def _decide(tx: Tx, settings: Settings, asked: Asked, answer: Answer, now: datetime, secret: str) -> None:
    list_id, by = asked.listing.id, answer.approver
    names = [word for word in re.split(r"[\s,;，；、]+", answer.exceptions) if word]
    if answer.decision == BUT and not names:
        raise ApprovalError(
            "no exception was named; name the cases that get a no, or choose another decision"
        )
    if answer.decision != BUT and names:
        raise ApprovalError(f"exceptions were named, yet the decision was {answer.decision!r}")
    use_code(tx, settings, list_id, by, answer.code, now, secret)
    people.approve(
        tx, list_id, by=by, now=now, exceptions=[views.case_id(tx, name) for name in names],
        yes=answer.decision != NO, why=answer.note.strip(), approvers=sorted(settings.approvers),
    )  # fmt: skip
    _over(tx, asked, "")


def _over(tx: Tx, asked: Asked, problem: str) -> None:
    _keep(tx, f"asked:{asked.listing.id}", {"round": asked.round + 1, "problem": problem})


# Codes. One per list and approver, derived from the ledger's key so that a crash between writing and sending loses
# none; the ledger keeps its signature, when it was sent and used, and how often it was guessed wrong.


def needs_code(settings: Settings, name: str) -> bool:
    """Whether config gives that approver a code: by their channel, or one of their own."""
    approver = settings.approvers.get(name)
    return approver is not None and bool(approver.channel or approver.code)


def _own_code(settings: Settings, name: str) -> str:
    approver = settings.approvers.get(name)
    if approver is None or approver.channel or approver.code is None:
        return ""
    return settings.secret(approver.code, ("approvers", name, "code")).strip()


def issue_code(tx: Tx, list_id: str, name: str) -> tuple[str, bool]:
    """That approver's code for that list, and whether it was sent already. The same until it is void."""
    kept = _kept(tx, f"code:{list_id}:{name}")
    number = kept.get("number", 1)
    code = _code(tx, list_id, name, number)
    if not kept:
        _keep(tx, f"code:{list_id}:{name}", {"number": number, "hash": _hash(tx, code)})
    return code, "sent" in kept


def use_code(
    tx: Tx, settings: Settings, list_id: str, name: str, given: str, now: datetime, own: str = ""
) -> None:
    """Use the code up, in the transaction that decides; raises `WrongCode`, or `ApprovalError` for one used already."""
    if not needs_code(settings, name):
        return
    kept = _kept(tx, f"code:{list_id}:{name}")
    given = re.sub(r"[\s-]", "", given)
    if not given:
        raise ApprovalError(f"{name} must give the code that reached them for this list")
    if own and kept.get("wrong", 0) >= GUESSES:
        raise ApprovalError(f"too many wrong codes were given for {name}", hint="Decide by `amends approve`.")
    wanted = _hash(tx, re.sub(r"[\s-]", "", own)) if own else kept.get("hash", "")
    if not wanted or not hmac.compare_digest(wanted, _hash(tx, given)):
        raise WrongCode(f"that is not {name}'s code for this list")
    if "used" in kept:
        raise ApprovalError(f"{name}'s code for this list was used already")
    _keep(tx, f"code:{list_id}:{name}", {**kept, "used": ticks(now)})


def _miss(tx: Tx, list_id: str, name: str) -> None:
    """Count a wrong guess; too many make the code void, and another is sent."""
    key = f"code:{list_id}:{name}"
    kept = _kept(tx, key)
    wrong = kept.get("wrong", 0) + 1
    if wrong < GUESSES or "hash" not in kept:
        _keep(tx, key, {**kept, "wrong": wrong})
        return
    number = kept.get("number", 1) + 1
    _keep(tx, key, {"number": number, "hash": _hash(tx, _code(tx, list_id, name, number))})


def _code(tx: Tx, list_id: str, name: str, number: int) -> str:
    seal = tx.vault.mac(b"approval-code", list_id.encode(), name.encode(), str(number).encode())
    return f"{int.from_bytes(seal[:8]) % 10**8:08}"


def _hash(tx: Tx, code: str) -> str:
    return tx.vault.mac(b"approval-code-kept", code.encode()).hex()


def _kept(tx: Tx, key: str) -> dict[str, Any]:
    text = tx.execute(select(meta.c.value).where(meta.c.key == key)).scalar()
    found: dict[str, Any] = json.loads(text) if text else {}
    return found


def _keep(tx: Tx, key: str, value: Mapping[str, Any]) -> None:
    text = json.dumps(value)
    statement = tx.upsert(meta).values(key=key, value=text)
    tx.execute(statement.on_conflict_do_update(index_elements=[meta.c.key], set_={"value": text}))


async def send_codes(
    settings: Settings, ledger: Ledger, clock: Clock, listing: approvals.Listing
) -> list[str]:
    """Send each approver with a channel their code, once; answers with those whom it did not reach."""
    unsent = []
    registry = None
    for name, approver in sorted(settings.approvers.items()):
        if not approver.channel:
            continue
        code, sent = await ledger.run(issue_code, listing.id, name)
        if sent:
            continue
        registry = registry or Registry.load(allow=settings.plugins.allow, deny=settings.plugins.deny)
        try:
            await _send(settings, registry, clock, listing, name, code)
        except Exception as error:  # one approver's channel must not keep the list from the others
            get_run_logger().warning("%s", bare_problem(f"code for {name}: {type(error).__name__}"))
            unsent.append(name)
            continue
        await ledger.run(_sent, listing.id, name, clock.now())
    return unsent


def _sent(tx: Tx, list_id: str, name: str, now: datetime) -> None:
    key = f"code:{list_id}:{name}"
    _keep(tx, key, {**_kept(tx, key), "sent": ticks(now)})


async def _send(
    settings: Settings, registry: Registry, clock: Clock, listing: approvals.Listing, name: str, code: str
) -> None:
    from amends.http import new_client

    spec, config = channel_config(settings, settings.approver(name).channel, registry)
    shop = settings.shop(listing.shop)
    if spec.factory is None:
        raise AmendsError(f"channel {spec.name} cannot be used")
    channel: Any = spec.factory(config, Context(listing.shop, shop.time_zone, clock, new_client))
    to = settings.approver_address(name)
    personal = (
        Personal(name=name, phone=to, email=to, address=to) if to else None
    )  # each channel takes its own
    try:
        await channel.message(_letter(listing, shop.language, code, settings, name, personal))
    finally:
        await channel.aclose()


def _letter(
    listing: approvals.Listing,
    language: str,
    code: str,
    settings: Settings,
    name: str,
    personal: Personal | None,
) -> Message:
    until = f"{listing.expires_at.astimezone(settings.shop(listing.shop).zone):%Y-%m-%d %H:%M}"
    acts = f"{len(listing.waiting)}{_total(listing.waiting)}"
    link = url_for("flow-run", flow_run.id) if flow_run.id else ""
    spoken = f"{code[:4]} {code[4:]}"
    if language.startswith("zh"):
        subject = f"待审批：{listing.id}"
        text = f"店铺 {listing.shop} 有 {acts} 项待您审批，截止 {until}。\n您的一次性验证码：{spoken}\n{link or ''}"
    else:
        subject = f"Approval wanted: {listing.id}"
        text = f"Shop {listing.shop}: {acts} to approve or reject, until {until}.\nYour code, good once: {spoken}\n{link or ''}"
    return Message(
        key=f"code-{listing.id}-{slug(name)}", order="", text=text.strip(), subject=subject, language=language[:2],
        template="approval-code", parameters={"code": code}, personal=personal,
    )  # fmt: skip


# What a sweep does at its end.


async def ask_people(shop: Shop, config: str | None, now: datetime | None) -> None:
    """Have one run wait for each open list of the shop, and end those whose list is decided or expired.

    Where Prefect knows no `approve` deployment, people use `amends approve`. That Prefect does not do it is logged, and
    fails nothing: the next sweep does it.
    """
    try:
        await _ask_people(shop, config, now)
    except ObjectNotFound:
        pass
    except Exception as error:
        get_run_logger().warning("approvals of %s were not asked for: %s", shop.name, type(error).__name__)


async def _ask_people(shop: Shop, config: str | None, now: datetime | None) -> None:
    waiting = await waiting_runs(shop.name)
    lists = await shop.ledger.run(_open_lists, shop.name)
    async with get_client() as client:
        for run in waiting:
            list_id = str(run.parameters.get("list_id", ""))
            if run.state is None or not run.state.is_paused() or list_id in lists:
                continue
            decided = await shop.ledger.run(_decided, list_id)
            if decided is not None:
                state: State[Any] = Completed(name=decided.name, message=decided.told())
                await client.set_flow_run_state(run.id, state, force=True)
    if not shop.settings.approvers:
        return
    there = {run.parameters.get("list_id") for run in waiting}
    for list_id in lists:
        parameters = {"list_id": list_id, "config": config} | ({"now": now.isoformat()} if now else {})
        for number in range(1, RUNS + 1) if list_id not in there else ():
            run = await arun_deployment(
                DEPLOYMENT, parameters=parameters, as_subflow=False, timeout=0, tags=["amends", shop.name],
                idempotency_key=f"amends-{list_id}" + (f"-{number}" if number > 1 else ""),
            )  # fmt: skip
            if run.state is None or not run.state.is_final():
                break


async def waiting_runs(shop: str) -> list[FlowRun]:
    """Runs of `approve` for that shop that have not ended."""
    async with get_client() as client:
        await client.read_deployment_by_name(DEPLOYMENT)
        found = await client.read_flow_runs(
            deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=["approve"])),
            flow_run_filter=FlowRunFilter(
                tags=FlowRunFilterTags(all_=[shop]),
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_LIVE)),
            ),
        )
    return [run for run in found if run.state is not None]


def _open_lists(tx: Tx, shop: str) -> list[str]:
    return [one.id for one in approvals.listing(tx, shop=shop, open_only=True) if one.waiting]


def _decided(tx: Tx, list_id: str) -> Decided | None:
    found = approvals.listing(tx, id_=list_id)
    return decided_of(found[0]) if found else None
