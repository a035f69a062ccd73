"""The authorisation: made, kept, renewed by a person, and never shown."""

from __future__ import annotations

import json
import stat
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr, ValidationError
from tests.plugins.pinduoduo.conftest import CONFIG, NOW, Opened

from amends import AuthFailed, Rejected
from amends.clock import FixedClock
from amends_pinduoduo.__main__ import main
from amends_pinduoduo.config import PinduoduoConfig
from amends_pinduoduo.connector import Pinduoduo
from amends_pinduoduo.fake_router import TOKEN, FakeRouter, order_row
from amends_pinduoduo.tokens import Token, authorise_address, create_token, read_token, save


def test_the_address_that_the_main_account_opens() -> None:
    parts = urlsplit(authorise_address("made-up-client", "https://shop.example.invalid/back?x=1", "s17"))
    assert (parts.scheme, parts.netloc, parts.path) == ("https", "fuwu.pinduoduo.com", "/service-market/auth")
    assert parse_qs(parts.query) == {
        "response_type": ["code"],
        "client_id": ["made-up-client"],
        "redirect_uri": ["https://shop.example.invalid/back?x=1"],
        "state": ["s17"],
    }


async def test_a_code_becomes_a_token_once(shop: Pinduoduo, router: FakeRouter) -> None:
    token = await create_token(shop._router, "made-up-code")
    assert token.access_token.get_secret_value() == TOKEN
    assert token.expires_at == (NOW + timedelta(days=365)).replace(microsecond=0)
    assert token.owner_id == "17"
    assert TOKEN not in repr(token)
    with pytest.raises(Rejected):
        await create_token(shop._router, "made-up-code")


def test_a_lifetime_in_seconds_will_do() -> None:
    token = read_token({"access_token": "t", "expires_in": "86400"}, NOW)
    assert token.expires_at == NOW + timedelta(days=1)


async def test_an_expired_token_asks_for_a_person(shop: Pinduoduo, router: FakeRouter) -> None:
    router.expired.add(TOKEN)
    with pytest.raises(AuthFailed, match="10019") as caught:
        await shop.order("P-1")
    assert "主账号" in caught.value.hint
    assert "python -m amends_pinduoduo url" in caught.value.hint
    assert "amends release --shop" in caught.value.hint


async def test_a_known_end_wastes_no_call(opened: Opened, router: FakeRouter, clock: FixedClock) -> None:
    shop = opened(access_token_expires_at=NOW + timedelta(hours=1))
    router.orders["P-1"] = order_row("P-1", NOW)
    await shop.order("P-1")
    clock.advance(timedelta(hours=1))
    router.calls.clear()
    with pytest.raises(AuthFailed, match="2026-03-04T03:30"):
        await shop.order("P-1")
    assert not router.calls


async def test_a_renewed_token_file_is_used_at_once(
    opened: Opened, router: FakeRouter, tmp_path: Path
) -> None:
    file = tmp_path / "token.json"
    save(Token(access_token=SecretStr("an-old-token")), file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    shop = opened(access_token=None, token_file=file)
    router.orders["P-1"] = order_row("P-1", NOW)
    with pytest.raises(AuthFailed, match="20032"):
        await shop.order("P-1")
    save(Token(access_token=SecretStr(TOKEN), expires_at=NOW + timedelta(days=1)), file)
    assert (await shop.order("P-1")).number == "P-1"


@pytest.mark.parametrize("content", [None, "", "{}", f'{{"access_token": ["{TOKEN}"]}}'])
async def test_a_bad_token_file_is_named_and_not_quoted(
    opened: Opened, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "token.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(AuthFailed, match=r"token\.json") as caught:
        await opened(access_token=None, token_file=file).order("P-1")
    assert TOKEN not in f"{caught.value!r}"
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("changes", [{"token_file": "x"}, {"access_token": None}])
def test_one_token_exactly(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="either access_token or token_file"):
        PinduoduoConfig.model_validate({**CONFIG, **changes})


def test_secrets_stay_hidden_and_leave_by_https_only() -> None:
    config = PinduoduoConfig.model_validate(CONFIG)
    assert not any(secret in f"{config!r} {config}" for secret in (CONFIG["client_secret"], TOKEN))
    with pytest.raises(ValidationError, match="https"):
        PinduoduoConfig.model_validate({**CONFIG, "router": "http://gw-api.example.invalid/api/router"})


def test_the_command_prints_the_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["url", "--client-id", "c", "--redirect-uri", "https://shop.example.invalid/back"]) == 0
    assert capsys.readouterr().out.startswith("https://fuwu.pinduoduo.com/")


def test_the_command_needs_the_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PDD_CLIENT_SECRET", raising=False)
    assert main(["token", "--client-id", "c", "--to", str(tmp_path / "t")]) == 2
    assert "PDD_CLIENT_SECRET" in capsys.readouterr().err


def test_the_command_writes_the_token_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Over a real connection on loopback, as a merchant runs it."""
    import io
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = self.rfile.read(int(self.headers["content-length"])).decode()
            root = "time_get_response" if "pdd.time.get" in said else "pop_auth_token_create_response"
            token = {"access_token": TOKEN, "owner_id": 17, "expires_at": 1803868207}
            body = json.dumps({root: {"time": "2026-03-04 10:30:07"} if "time" in root else token}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        monkeypatch.setenv("PDD_CLIENT_SECRET", CONFIG["client_secret"])
        monkeypatch.setattr("sys.stdin", io.StringIO("made-up-code\n"))
        file = tmp_path / "token.json"
        router = f"http://127.0.0.1:{server.server_port}/api/router"
        assert main(["token", "--client-id", "c", "--to", str(file), "--router", router]) == 0
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert json.loads(file.read_text())["access_token"] == TOKEN
    shown = capsys.readouterr()
    assert "shop 17" in shown.out
    assert TOKEN not in shown.out + shown.err
    assert [entry.name for entry in tmp_path.iterdir()] == ["token.json"]
