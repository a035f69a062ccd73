"""`amends up`: everything on this machine by one command, until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amends.cli.opened import open_registry, open_settings
from amends.cli.options import FIRST, Json
from amends.cli.output import print_json, say, table, warn
from amends.errors import AmendsError, ConfigError

if TYPE_CHECKING:
    from amends.settings import Settings
    from amends.workflows.up import RunnerProcess

RESTART = 5.0
"""Seconds before what ended by itself is started again."""


def add_to(app: typer.Typer) -> None:
    app.command("up", rich_help_panel=FIRST)(up)


def up(
    ctx: typer.Context,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port of Prefect's own server; 0 for any.")
    ] = 4200,
    inbox: Annotated[
        bool, typer.Option("--inbox/--no-inbox", help="Host the inbox and its dispatcher.")
    ] = True,
    inbox_only: Annotated[
        bool, typer.Option("--inbox-only", help="Only that: workers run the sweeps. Needs no Prefect.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=64, help="Flow runs at once.")] = 4,
    check: Annotated[bool, typer.Option("--check", help="Only say what would change.")] = False,
    work_pool: Annotated[
        str, typer.Option("--work-pool", metavar="POOL", help="Deploy to that work pool, and end.")
    ] = "",
    json: Json = False,
) -> None:
    """Start Prefect, deploy every shop's sweep, run what falls due, and host the inbox, until Ctrl-C.

    Where PREFECT_API_URL names a server, that one is used and none is started.
    """
    settings = open_settings(ctx)
    if not settings.shops:
        raise ConfigError("there is no shop to sweep", hint="Add a table [shops.NAME].")
    if check or work_pool:
        _deploy(settings, port, work_pool, check, json)
        return
    if inbox_only and not inbox:
        raise typer.BadParameter("goes without --no-inbox", param_hint="--inbox-only")
    asyncio.run(
        _inbox_until_stopped(settings) if inbox_only else _until_stopped(settings, port, inbox, limit)
    )


def _deploy(settings: Settings, port: int, pool: str, check: bool, json: bool) -> None:
    from amends.workflows import reach
    from amends.workflows import up as workflows

    url = reach.shown(reach.configured_url())
    if pool and not url:
        raise ConfigError(
            "a work pool needs a Prefect server of its own",
            hint="Set PREFECT_API_URL, or `prefect config set`.",
        )
    if url:
        reach.reach()
    if pool and not check:
        names = asyncio.run(workflows.deploy_to(settings, pool))
        if json:
            print_json({"server": url, "work_pool": pool, "deployed": names})
        else:
            say(*(f"deployed {name}" for name in names), "", f"prefect worker start --pool {pool}")
        return
    found = asyncio.run(workflows.changes(settings, pool)) if url else workflows.wanted(settings)
    if json:
        print_json({"server": url or None, "deployments": found})
        return
    say(
        f"Prefect: {url}"
        if url
        else f"Prefect: its own server would start on port {port}, data in {_home(settings)}"
    )
    table(
        ["deployment", "schedule", "state", "differs"],
        [(one.name, one.schedule, one.state, ", ".join(one.differs)) for one in found],
    )
    if not pool:
        say(
            f"inbox: {settings.inbox.host}:{settings.inbox.port}, public {settings.inbox.public_url or 'nowhere'}"
        )


def _home(settings: Settings) -> Any:
    return settings.state_dir / "prefect"


async def _until_stopped(settings: Settings, port: int, with_inbox: bool, limit: int) -> None:
    from amends.workflows import reach
    from amends.workflows import up as workflows

    stop = _stop()
    settings.prepare_state()
    if with_inbox:
        _can_listen(settings)  # a port that is taken shows at once, not after Prefect's start
    url = reach.configured_url()
    if url:
        url = (await asyncio.to_thread(reach.reach)).url
    async with contextlib.AsyncExitStack() as stack:
        env = dict(os.environ)
        server = None
        if not url:
            server = workflows.LastingServer(_home(settings), port)
            stack.callback(server.__exit__, None, None, None)
            say("Prefect's server is starting…")
            starting = asyncio.create_task(asyncio.to_thread(server.start))
            while not starting.done() and not stop.is_set():
                await asyncio.wait([starting], timeout=0.3)
            if stop.is_set():
                server.stop()
                with contextlib.suppress(AmendsError):
                    await starting
                return
            await starting
            server.use()  # for secrets that config keeps in blocks
            env = server.environment()
        await workflows.not_in_pools(settings)
        inbox = await _inbox(settings, stop, stack) if with_inbox else None
        log = settings.state_dir / "runner.log"
        runner = workflows.RunnerProcess(settings, env, log=log, limit=limit, alone=server is not None)
        stack.push_async_callback(_stopped, runner)
        runner.start()
        say(f"Prefect:  {server.ui_url if server else url}")
        if inbox is not None:
            say(f"inbox:    {inbox}")
        await _watch(runner, server, stop)


async def _stopped(runner: RunnerProcess) -> None:
    say("stopping…")
    await asyncio.to_thread(runner.stop)  # the inbox finishes what it was asked meanwhile


def _stop() -> asyncio.Event:
    """Set by Ctrl-C."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, stop.set)
    return stop


async def _inbox_until_stopped(settings: Settings) -> None:
    stop = _stop()
    settings.prepare_state()
    async with contextlib.AsyncExitStack() as stack:
        say(f"inbox:    {await _inbox(settings, stop, stack)}", "serving; Ctrl-C ends it")
        await stop.wait()
        say("stopping…")


def _can_listen(settings: Settings) -> None:
    from amends.inbox.resident import bind

    bind(settings.inbox.host, settings.inbox.port).close()


async def _inbox(settings: Settings, stop: asyncio.Event, stack: contextlib.AsyncExitStack) -> str:
    """Host inbox and dispatcher in this process; answers with the inbox's address."""
    from amends.inbox.resident import Resident
    from amends.settings import Settings
    from amends.steps.shop import open_ledger
    from amends.workflows.blocks import read_block

    settings = Settings.load(settings.path, blocks=read_block)
    ledger = open_ledger(settings)
    stack.push_async_callback(ledger.aclose)
    resident = await Resident.open(settings, open_registry(settings), ledger)
    url = resident.url
    hosting = asyncio.create_task(_hosted(resident, stop))

    async def ended() -> None:
        stop.set()
        await hosting

    stack.push_async_callback(ended)
    return url


async def _hosted(resident: Any, stop: asyncio.Event) -> None:
    try:
        await resident.run(stop)
    finally:
        stop.set()  # without it the rest would look whole


async def _watch(runner: RunnerProcess, server: Any, stop: asyncio.Event) -> None:
    """Say when all is served, and start again what ended by itself, until told to stop."""
    told = False
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.5)
        if not told and runner.ready:
            told = True
            say("serving; Ctrl-C ends it")
        if stop.is_set():
            return
        if server is not None and server.pid is None:
            warn(f"Prefect's server ended; see {server.log}; started again")
            await _pause(stop)
            if not stop.is_set():
                with contextlib.suppress(AmendsError):
                    await asyncio.to_thread(server.start)
        elif not runner.running:
            warn(f"the runner ended; see {runner.log}; started again", runner.last_words())
            await _pause(stop)
            if not stop.is_set():
                told = False
                runner.start()


async def _pause(stop: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), RESTART)
