"""What the test of several machines starts: Prefect's server on Postgres as the room's README says, and workers that can die."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

T = TypeVar("T")
ROOM = Path(__file__).resolve().parents[3] / "flows/amends/workflows/README.md"


def documented(holding: str, **values: str) -> dict[str, str]:
    """The settings of the README's block that has `holding`, with these values for what a merchant fills in."""
    blocks = re.findall(r"```ini\n(.*?)```", ROOM.read_text(encoding="utf-8"), re.DOTALL)
    (block,) = [one for one in blocks if holding in one]
    lines = [line.strip() for line in block.splitlines() if "=" in line and not line.strip().startswith("#")]
    found = dict(line.split("=", 1) for line in lines)
    assert set(values) <= set(found), "the README names what a merchant must fill in"
    left = [name for name, value in found.items() if "SECRET" in value and name not in values]
    assert not left
    return found | values


def bare() -> dict[str, str]:
    """This process's environment without anything of Prefect's."""
    found = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return found | {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}


def wait_for(look: Callable[[], T], *, seconds: float) -> T:
    """The first truthy answer; fails with the last one when time is up."""
    until = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < until, f"still {found!r} after {seconds:.0f} s"
        time.sleep(0.1)
    return found


def tree(root: int) -> set[int]:
    """A process and all that descend from it."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found, more = set(), {root}
    while more:
        found |= more
        more = {child for child, parent in parents.items() if parent in more} - found
    return found


@contextmanager
def process(log: Path, env: Mapping[str, str], *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m prefect …`, ended with all its children."""
    with log.open("wb") as out:
        running = subprocess.Popen(
            [sys.executable, "-m", "prefect", *words], env=dict(env), cwd=log.parent, stdin=subprocess.DEVNULL,
            stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    try:
        yield running
    finally:
        kill(running)


def kill(running: subprocess.Popen[bytes]) -> None:
    """SIGKILL to a process and all its children, as when their machine loses power."""
    pids = tree(running.pid) if running.poll() is None else set()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    running.wait()


class Api:
    """Questions to Prefect's server, with its password."""

    def __init__(self, url: str, auth: str) -> None:
        user, _, password = auth.partition(":")
        self._client = httpx.Client(base_url=url, auth=(user, password), timeout=60, trust_env=False)

    def ready(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return self._client.get("/health").status_code == 200
        return False

    def post(self, path: str, body: dict[str, Any]) -> Any:
        answer = self._client.post(path, json=body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def deployment(self, name: str) -> dict[str, Any]:
        (found,) = self.post("/deployments/filter", {"deployments": {"name": {"any_": [name]}}})
        assert isinstance(found, dict)
        return found

    def run(self, deployment: str, **parameters: Any) -> str:
        """Ask for a run now; its id."""
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        return str(self.post(f"/deployments/{deployment}/create_flow_run", body)["id"])

    def states(self, runs: list[str]) -> dict[str, tuple[str, str, str]]:
        """Type, name and message of each run's state."""
        found = self.post("/flow_runs/filter", {"flow_runs": {"id": {"any_": runs}}})
        return {
            one["id"]: (one["state"]["type"], one["state"]["name"], one["state"]["message"] or "")
            for one in found
        }
