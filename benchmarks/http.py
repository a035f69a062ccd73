"""Connector requests per second through the shared client, beside raw aiohttp and httpx's own transport.

    python -m benchmarks.http [--requests 2000] [--rounds 5]

A server of its own process on loopback answers a small JSON; the clients take turns, so that noise hits all alike.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator

import aiohttp
import httpx

from amends.http import Http, new_client

BODY = {"order": "A-1", "text": "x" * 200}
AT_ONCE = (10, 32, 100)


def serve(port: int) -> None:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def answer(request: Request) -> JSONResponse:
        await request.body()
        return JSONResponse({"state": "done", "ref": "R-1"})

    app = Starlette(routes=[Route("/", answer, methods=["POST"])])
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)


@contextlib.contextmanager
def server() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.http", "--serve", str(port)])
    try:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(10)


async def rate(ask: Callable[[], Awaitable[object]], requests: int, at_once: int) -> float:
    """Requests per second with that many under way at once."""
    left = iter(range(requests))

    async def worker() -> None:
        for _ in left:
            await ask()

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    return requests / (time.perf_counter() - began)


async def measure(url: str, requests: int, at_once: int) -> dict[str, float]:
    """One turn of each client."""
    found = {}
    async with new_client(limit=at_once) as client:
        http = Http(client, who="benchmark")
        found["amends"] = await rate(lambda: http.json("POST", url, json=BODY), requests, at_once)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=at_once)) as session:

        async def raw() -> object:
            async with session.post(url, json=BODY) as response:
                return json.loads(await response.read())

        found["aiohttp"] = await rate(raw, requests, at_once)
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=at_once)) as own:
        found["httpx"] = await rate(lambda: own.post(url, json=BODY), max(100, requests // 5), at_once)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    print(f"requests per second, median of {options.rounds} turns of {options.requests} requests each")
    print(f"{'at once':>8} {'amends':>8} {'aiohttp':>8} {'httpx':>8} {'of aiohttp':>11} {'of httpx':>9}")
    with server() as url:
        for at_once in AT_ONCE:
            turns = [asyncio.run(measure(url, options.requests, at_once)) for _ in range(options.rounds)]
            middle = {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}
            of_raw = statistics.median(turn["amends"] / turn["aiohttp"] for turn in turns)
            of_own = statistics.median(turn["amends"] / turn["httpx"] for turn in turns)
            numbers = " ".join(f"{middle[name]:8.0f}" for name in ("amends", "aiohttp", "httpx"))
            print(f"{at_once:>8} {numbers} {of_raw:>11.2f} {of_own:>8.1f}x")


if __name__ == "__main__":
    main()
