"""Whether the configured server answers, is Prefect's and lets us in: each trouble is one message that says what to do."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from amends.errors import ConfigError
from amends.workflows.reach import reach
from amends.workflows.server import PrefectServer

URL = "http://kim:made-up@prefect.example.invalid/api"


@pytest.fixture(autouse=True)
def configured() -> Iterator[None]:
    with temporary_settings({PREFECT_API_URL: URL, PREFECT_API_AUTH_STRING: "amends:green-tea-7"}):
        yield


def answers(status: int, content: bytes = b"", **headers: str) -> httpx.MockTransport:
    return httpx.MockTransport(lambda _: httpx.Response(status, content=content, headers=headers))


def unplugged(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


@pytest.mark.parametrize(
    ("transport", "what"),
    [
        (httpx.MockTransport(unplugged), "no Prefect server answers at"),
        (answers(401), "does not let us in"),
        (answers(403), "does not let us in"),
        (answers(503), "is in trouble"),
        (answers(404), "is no Prefect server"),
        (answers(200, b"<html>the shop's own page</html>"), "is no Prefect server"),
        (answers(200, b'{"detail": "fine"}'), "is no Prefect server"),
    ],
)
def test_each_trouble_is_told_with_what_to_do(transport: httpx.MockTransport, what: str) -> None:
    with pytest.raises(ConfigError, match=what) as caught:
        reach(transport=transport)
    assert "prefect.example.invalid/api" in str(caught.value)
    assert caught.value.hint
    told = str(caught.value) + caught.value.hint
    assert "made-up" not in told and "green-tea" not in told, "no password is shown"


def test_without_an_address_it_is_asked_for() -> None:
    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(ConfigError, match="no Prefect server is named"),
    ):
        reach()


def test_a_server_is_asked_with_its_password_and_tells_version_and_time() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, content=b'"3.8.8"', headers={"date": "Mon, 02 Mar 2026 00:00:00 GMT"})

    found = reach(transport=httpx.MockTransport(answer))
    assert (found.url, found.version) == ("http://prefect.example.invalid/api", "3.8.8")
    assert found.ahead is not None and abs(found.ahead) > timedelta(days=1)
    assert asked[0].url.path == "/api/admin/version"
    assert asked[0].headers["authorization"].startswith("Basic ")


@pytest.mark.prefect
def test_a_real_server_and_what_is_none(server: PrefectServer) -> None:
    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"the shop's own page")

        def log_message(self, *_: object) -> None: ...

    with temporary_settings({PREFECT_API_URL: server.url}):
        found = reach()
        assert found.version.startswith("3.")
        assert found.ahead is not None and abs(found.ahead) < timedelta(seconds=5)
    door = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=door.serve_forever, daemon=True).start()
    try:
        with (
            temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{door.server_address[1]}/api"}),
            pytest.raises(ConfigError, match="is no Prefect server"),
        ):
            reach()
    finally:
        door.shutdown()
