"""`python -m amends_sandbox --state DIR`: serves the sandbox on loopback until it is told to stop."""

# ruff: noqa: T201  # a command prints
from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import uvicorn

from amends import AmendsError
from amends.testing.faults import Faults
from amends.testing.marketplace import START
from amends_sandbox.server import Service
from amends_sandbox.state import State, World, write

HOST = "127.0.0.1"


def main(arguments: list[str] | None = None) -> int:
    """Serve until stopped; 2 where the arguments or the state directory cannot be used."""
    options = _parser().parse_args(arguments)
    world = World(seed=options.seed, orders=options.orders, days=options.days, start=options.start)
    try:
        faults = None if options.faults is None else Faults.parse(options.faults)
        state = State(options.state, world, faults)
        sock = _listen(options.port, options.state / "sandbox.json")
    except AmendsError as error:
        print(f"amends_sandbox: {error}\n{error.hint}".rstrip(), file=sys.stderr)
        return 2
    except OSError as error:
        print(f"amends_sandbox: cannot serve {options.state}: {error}", file=sys.stderr)
        return 2
    try:
        asyncio.run(_serve(state, sock, parent=os.getppid() if options.with_parent else 0))
    finally:
        state.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m amends_sandbox", description="A seeded marketplace on loopback."
    )
    parser.add_argument(
        "--state", type=Path, required=True, help="directory for the journal; made if missing"
    )
    parser.add_argument("--port", type=int, default=0, help="0: the one used before, else any free one")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--start", type=datetime.fromisoformat, default=START, help="virtual time, with zone")
    parser.add_argument("--faults", help="none, demo, heavy, or p_429=0.1,…; absent: as before")
    parser.add_argument("--with-parent", action="store_true", help="end when the starting process ends")
    return parser


def _listen(port: int, ready: Path) -> socket.socket:
    """A socket on loopback: the given port, else that of last time, so that addresses stay good, else any."""
    before = 0
    with suppress(OSError, ValueError, KeyError):
        before = int(json.loads(ready.read_bytes())["port"])
        ready.unlink()
    for choice in dict.fromkeys((port,) if port else (before, 0)):
        # Named as TCP, or asyncio leaves Nagle's algorithm on and answers wait 40 ms for the client's ACK.
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((HOST, choice))
        except OSError:
            sock.close()
            if choice in (port, 0) and not (choice == 0 and before):
                raise
            continue
        return sock
    raise OSError("no free port")


async def _serve(state: State, sock: socket.socket, *, parent: int) -> None:
    config = uvicorn.Config(
        Service(state).app(),
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=3,
        limit_concurrency=None,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    while not server.started and not serving.done():
        await asyncio.wait([serving], timeout=0.005)
    if server.started:
        port = sock.getsockname()[1]
        write(
            state.folder / "sandbox.json",
            {"url": f"http://{HOST}:{port}", "port": port, "pid": os.getpid()},
        )
        print(f"http://{HOST}:{port}", flush=True)
    while parent and not serving.done():
        if os.getppid() != parent:
            server.should_exit = True
            break
        await asyncio.wait([serving], timeout=0.5)
    await serving


if __name__ == "__main__":
    sys.exit(main())
