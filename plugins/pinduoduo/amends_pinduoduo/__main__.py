"""Authorise the application for a shop: `python -m amends_pinduoduo url`, then `… token`.

The shop's main account opens the address of `url`, agrees, and is sent to the application's callback, whose
address then holds `code=…`. `token` asks for that code and writes the shop's `token_file`; the secret comes
from the environment so that it stands in no history.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
from datetime import UTC, datetime
from getpass import getpass
from pathlib import Path

from pydantic import SecretStr

from amends import AmendsError, Http
from amends_pinduoduo.config import ROUTER, PinduoduoConfig
from amends_pinduoduo.tokens import Token, authorise_address, create_token, save

SECRET = "PDD_CLIENT_SECRET"  # noqa: S105  # the name of a variable, not its value


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m amends_pinduoduo", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    url = commands.add_parser("url", help="print the address that the shop's main account opens")
    url.add_argument("--client-id", required=True)
    url.add_argument(
        "--redirect-uri", required=True, help="the callback that the application was registered with"
    )
    token = commands.add_parser("token", help="exchange the code for a token and write the token file")
    token.add_argument("--client-id", required=True)
    token.add_argument("--to", required=True, type=Path, metavar="FILE", help="the shop's token_file")
    token.add_argument("--router", default=ROUTER, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.command == "url":
        sys.stdout.write(
            authorise_address(chosen.client_id, chosen.redirect_uri, secrets.token_urlsafe(16)) + "\n"
        )
        return 0
    secret = os.environ.get(SECRET, "")
    if not secret:
        sys.stderr.write(f"Set {SECRET} to the application's client_secret.\n")
        return 2
    code = getpass("code: ") if sys.stdin.isatty() else sys.stdin.readline()
    config = PinduoduoConfig(
        client_id=chosen.client_id,
        client_secret=SecretStr(secret),
        token_file=chosen.to,
        router=chosen.router,
    )
    try:
        made = asyncio.run(_exchange(config, code.strip()))
    except AmendsError as error:
        sys.stderr.write(f"{error} {error.hint}".rstrip() + "\n")
        return 1
    save(made, chosen.to)
    until = made.expires_at.isoformat(timespec="minutes") if made.expires_at else "an unknown date"
    sys.stdout.write(f"{chosen.to}: shop {made.owner_id or '?'}, authorised until {until}\n")
    return 0


async def _exchange(config: PinduoduoConfig, code: str) -> Token:
    import httpx

    from amends_pinduoduo.router import WHO, Router

    router = Router(config, Http(httpx.AsyncClient(timeout=10.0), who=WHO), _Now())
    try:
        return await create_token(router, code)
    finally:
        await router.aclose()


class _Now:
    """The machine's own time, in place of the host's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


if __name__ == "__main__":
    raise SystemExit(main())
