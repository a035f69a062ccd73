"""The Prefect side of `amends up`: its server on a port that stays, the runner beside it, and what deploying would change.

The runner is a process of its own (`python -m amends.workflows.up`), so that neither Prefect's trouble nor a flow's
touches the inbox and its dispatcher. It ends with the process that started it, also after `kill -9`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amends.errors import ConfigError
from amends.settings import Settings
from amends.workflows.server import PrefectServer, Report

PORT = 4200
"""Where Prefect's own server listens by default."""
LIMIT = 4
"""Flow runs at once."""
_PATIENCE = 25.0  # seconds that a runner gets to pause its schedules and end its runs


class LastingServer(PrefectServer):
    """Prefect's server on one port, so that its pages keep their address; 0 for any free one."""

    def __init__(
        self, home: Path, port: int = PORT, *, report: Report | None = None, ui: bool = True
    ) -> None:
        super().__init__(home, report=report, ui=ui)
        self._port = port

    def start(self) -> PrefectServer:
        """Start it; raises `ConfigError` where the port is taken."""
        if self._port:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", self._port))
                except OSError as error:
                    raise ConfigError(
                        f"Prefect's server cannot listen on port {self._port}: {error.strerror}",
                        hint="End what uses it, choose another `--port`, or set PREFECT_API_URL to a server that runs.",
                    ) from error
        return super().start()

    def _launch(self, port: int) -> subprocess.Popen[bytes]:
        port = self._port or port
        self._port = port  # started again, it is found where it was
        self.url = f"http://127.0.0.1:{port}/api"
        return super()._launch(port)


class RunnerProcess:
    """The process that deploys a configuration and runs what falls due."""

    def __init__(
        self, settings: Settings, env: Mapping[str, str], *, log: Path, limit: int = LIMIT, alone: bool = True
    ) -> None:
        self._command = [
            sys.executable, "-m", __name__, str(os.getpid()), str(settings.path or ""), str(limit), str(int(alone)),
        ]  # fmt: skip
        self._env = dict(env)
        source = str(Path(__file__).resolve().parents[2])
        self._env["PYTHONPATH"] = os.pathsep.join(filter(None, [source, self._env.get("PYTHONPATH")]))
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self.running and self._process is not None else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def ready(self) -> bool:
        """Whether everything is deployed and what falls due is run."""
        with contextlib.suppress(OSError):
            return "amends: serving" in self.log.read_text(encoding="utf-8", errors="replace")
        return False

    def start(self) -> None:
        self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.log.open("wb") as out:
            # A session of its own: Ctrl-C is for whoever started it, and its runs can be ended with it.
            self._process = subprocess.Popen(
                self._command, env=self._env, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    def last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            return "\n".join(lines[-8:])
        return ""

    def stop(self) -> None:
        """End it and its runs: politely, then certainly. What a run had begun is settled by the next sweep."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


# Inside the runner's process.


async def _serve(settings: Settings, limit: int, alone: bool) -> None:
    from prefect.runner import Runner

    from amends.workflows.missed import tidy
    from amends.workflows.serve import deployments

    await register_blocks()
    runner = Runner(name="amends", limit=limit, pause_on_shutdown=True)
    names = []
    for deployment in deployments(settings):
        deployment.paused = False  # the last `amends up` may have paused it on leaving
        await _awaited(runner.add_deployment(deployment))
        names.append(deployment.name)
    await tidy(names, alone=alone)
    print("amends: serving", *names, flush=True)  # noqa: T201  # whoever started this process waits for it
    await runner.start()


async def _awaited(found: Any) -> Any:
    return await found if hasattr(found, "__await__") else found


async def register_blocks() -> None:
    """Make our block types known, so that Prefect's pages offer them."""
    with contextlib.suppress(ImportError):
        from amends.workflows.blocks import BLOCKS

        for block in BLOCKS:
            await _awaited(block.register_type_and_schema())


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(10)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _main() -> None:
    parent, path, limit, alone = sys.argv[1:]
    if os.name == "posix":
        threading.Thread(target=_end_with, args=(int(parent),), daemon=True).start()
    settings = Settings.load(path or None)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(settings, int(limit), alone == "1"))


# What would change, and work pools.


@dataclass(frozen=True, slots=True)
class Change:
    """One deployment as config wants it beside what the server has: `new`, `changed` or `same`, and what differs."""

    name: str
    schedule: str
    state: str
    differs: tuple[str, ...] = ()


async def changes(settings: Settings, pool: str = "") -> list[Change]:
    """What deploying would change on the configured server; to that work pool, or served without one."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    from amends.workflows.serve import deployments

    found = []
    async with get_client() as client:
        for wanted in deployments(settings, pool):
            name = f"{wanted.flow_name}/{wanted.name}"
            try:
                there = await client.read_deployment_by_name(name)
            except ObjectNotFound:
                found.append(Change(name, _schedule(wanted), "new"))
                continue
            pairs = {
                "schedule": (_schedule(wanted), _schedule(there)),
                "parameters": (wanted.parameters, there.parameters),
                "entrypoint": (wanted.entrypoint, there.entrypoint),
                "tags": (sorted(wanted.tags), sorted(there.tags)),
                "work pool": (pool or None, there.work_pool_name),
                "environment": (_environment(wanted), _environment(there)),
            }
            differs = tuple(key for key, (ours, theirs) in pairs.items() if ours != theirs)
            found.append(Change(name, _schedule(wanted), "changed" if differs else "same", differs))
    return found


def _environment(deployment: Any) -> dict[str, Any]:
    """Of the runs of a deployment to a work pool; a served one's is its runner's."""
    return dict((deployment.job_variables or {}).get("env") or {}) if deployment.work_pool_name else {}


def wanted(settings: Settings) -> list[Change]:
    """The deployments that config asks for, where no server can be asked what it has."""
    from amends.workflows.serve import deployments

    return [Change(f"{one.flow_name}/{one.name}", _schedule(one), "new") for one in deployments(settings)]


def _schedule(deployment: Any) -> str:
    """`*/10 * * * * Asia/Shanghai`; empty without one."""
    found = []
    for entry in deployment.schedules or ():
        schedule = getattr(entry, "schedule", entry)
        found.append(
            f"{getattr(schedule, 'cron', schedule)} {getattr(schedule, 'timezone', '') or ''}".strip()
        )
    return ", ".join(found)


async def not_in_pools(settings: Settings) -> None:
    """Raise `ConfigError` where workers run these deployments: served as well, each run would have two that want it."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName

    names = [one.name for one in wanted(settings)]
    ours = DeploymentFilter(name=DeploymentFilterName(any_=[name.partition("/")[2] for name in names]))
    async with get_client() as client:
        found = await client.read_deployments(deployment_filter=ours)
    pools = sorted({one.work_pool_name for one in found if one.work_pool_name})
    if pools:
        raise ConfigError(
            f"{len(found)} of these deployments belong to the work pool {pools[0]}: its workers run them",
            hint="`amends up --inbox-only` hosts the inbox beside them; to serve them here, delete them in Prefect first.",
        )


async def deploy_to(settings: Settings, pool: str) -> list[str]:
    """Deploy every deployment of config to that work pool; raises `ConfigError` where there is no such pool."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    from amends.workflows.serve import deployments

    async with get_client() as client:
        try:
            await client.read_work_pool(pool)
        except ObjectNotFound:
            raise ConfigError(
                f"Prefect knows no work pool {pool!r}",
                hint=f"`prefect work-pool create {pool} --type process`.",
            ) from None
    await register_blocks()
    names = []
    for deployment in deployments(settings, pool):
        deployment.paused = False
        await deployment.aapply(work_pool_name=pool)
        names.append(f"{deployment.flow_name}/{deployment.name}")
    return names


if __name__ == "__main__":
    _main()
