"""Whether the Prefect server that is configured answers, is one, and lets us in: asked before anything is deployed."""

from __future__ import annotations

import email.utils
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit, urlunsplit

import httpx

from amends.errors import ConfigError

PATIENCE = 10.0
"""Seconds for one answer."""


@dataclass(frozen=True, slots=True)
class Reached:
    """A server that answered: its address without a password, its version (empty for Prefect Cloud), its clock minus ours."""

    url: str
    version: str
    ahead: timedelta | None


def configured_url() -> str:
    """The server that PREFECT_API_URL or the active Prefect profile names; empty where none is."""
    from prefect.settings import get_current_settings

    return str(get_current_settings().api.url or "")


def shown(url: str) -> str:
    """An address without user name and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def reach(*, transport: httpx.BaseTransport | None = None) -> Reached:
    """Ask the configured server for its version; raises `ConfigError` that says what is wrong with address or key."""
    url = configured_url().rstrip("/")
    if not url:
        raise ConfigError(
            "no Prefect server is named",
            hint="Set PREFECT_API_URL, as `amends up` shows it, with /api at its end.",
        )
    where, cloud = shown(url), (urlsplit(url).hostname or "").endswith("prefect.cloud")
    try:
        with httpx.Client(
            timeout=PATIENCE, transport=transport, headers=_key(cloud), auth=_login()
        ) as client:
            before = datetime.now(UTC)
            answer = client.get(f"{_cloud()}/me/workspaces" if cloud else f"{url}/admin/version")
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise ConfigError(
            f"no Prefect server answers at {where} ({type(error).__name__})",
            hint="Is it running, and is PREFECT_API_URL right? `amends sweep --local` needs none.",
        ) from None
    if answer.status_code in (401, 403):
        raise ConfigError(
            f"Prefect's server at {where} does not let us in (HTTP {answer.status_code})",
            hint="Set PREFECT_API_KEY."
            if cloud
            else "Set PREFECT_API_AUTH_STRING to what the server was started with.",
        )
    if answer.status_code >= 500:
        raise ConfigError(
            f"Prefect's server at {where} is in trouble (HTTP {answer.status_code})", hint="See its log."
        )
    version = "" if cloud else _version(answer)
    if not version and not (cloud and answer.status_code == 200):
        raise ConfigError(
            f"what answers at {where} is no Prefect server",
            hint="PREFECT_API_URL is the server's address with /api at its end, such as http://127.0.0.1:4200/api.",
        )
    return Reached(where, version, _ahead(answer, before))


def _cloud() -> str:
    from prefect.settings import get_current_settings

    return str(get_current_settings().cloud.api_url).rstrip("/")


def _key(cloud: bool) -> dict[str, str]:
    from prefect.settings import get_current_settings

    key = get_current_settings().api.key
    return {"Authorization": f"Bearer {key.get_secret_value()}"} if key and cloud else {}


def _login() -> tuple[str, str] | None:
    from prefect.settings import get_current_settings

    given = get_current_settings().api.auth_string
    user, _, password = given.get_secret_value().partition(":") if given else ("", "", "")
    return (user, password) if given else None


def _version(answer: httpx.Response) -> str:
    try:
        found = answer.json()
    except ValueError:
        return ""
    return found if answer.status_code == 200 and isinstance(found, str) and found[:1].isdigit() else ""


def _ahead(answer: httpx.Response, before: datetime) -> timedelta | None:
    """The server's clock minus ours, to the second; None where it does not tell the time."""
    try:
        told = email.utils.parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError):
        return None
    half = (datetime.now(UTC) - before) / 2
    return told - (before + half)
