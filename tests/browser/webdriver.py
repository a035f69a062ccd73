"""A browser for tests: Debian's chromium, headless, driven through chromedriver by the W3C WebDriver protocol."""

from __future__ import annotations

import base64
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
)


class Browser:
    """One window."""

    def __init__(self, client: httpx.Client, session: str) -> None:
        self.client, self.session = client, session

    def ask(self, method: str, path: str, **body: Any) -> Any:
        options = {"json": body} if method == "POST" else {}
        answer = self.client.request(method, f"/session/{self.session}{path}", **options)
        value = answer.json()["value"]
        assert answer.is_success, f"{value['error']}: {value['message']}"
        return value

    def open(self, url: str) -> None:
        self.ask("POST", "/url", url=url)

    def find(self, css: str) -> str:
        """The first element that a CSS selector finds."""
        return str(self.ask("POST", "/element", using="css selector", value=css)[ELEMENT])

    def click(self, css: str) -> None:
        self.ask("POST", f"/element/{self.find(css)}/click")

    def type(self, css: str, text: str) -> None:
        self.ask("POST", f"/element/{self.find(css)}/value", text=text)

    def text(self, css: str = "body") -> str:
        return str(self.ask("GET", f"/element/{self.find(css)}/text"))

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script of the test's own answers; WebDriver's are not bound by the page's policy."""
        return self.ask("POST", "/execute/sync", script=script, args=list(arguments))

    def cdp(self, command: str, **parameters: Any) -> Any:
        """A command of chromium's own."""
        return self.ask("POST", "/goog/cdp/execute", cmd=command, params=parameters)

    def keys(self, *keys: str) -> None:
        """Press keys one after the other, as a person without a mouse does."""
        acts = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.ask("POST", "/actions", actions=[{"type": "key", "id": "keys", "actions": acts}])

    def picture(self, file: Path, *, whole: bool = True) -> None:
        """A screenshot, of the whole page or of what the window shows."""
        made = self.cdp("Page.captureScreenshot", captureBeyondViewport=whole)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(made["data"]))


@contextmanager
def browser(
    *, width: int = 1280, height: int = 900, phone: bool = False, language: str = "en"
) -> Iterator[Browser]:
    """A fresh window; skips where chromium or its driver are not installed."""
    driver, chromium = shutil.which("chromedriver"), shutil.which("chromium")
    if driver is None or chromium is None:
        pytest.skip("needs chromium and chromedriver: apt-get install chromium chromium-driver")
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    process = subprocess.Popen(
        [driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            _wait(client)
            options: dict[str, Any] = {
                "binary": chromium,
                "args": [
                    *FLAGS,
                    f"--window-size={width},{height}",
                    f"--lang={language}",
                    f"--accept-lang={language}",
                ],
            }
            if phone:
                metrics = {"width": width, "height": height, "pixelRatio": 2.0, "mobile": True}
                options["mobileEmulation"] = {"deviceMetrics": metrics}
            wanted = {
                "capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}
            }
            answer = client.post("/session", json=wanted).json()["value"]
            assert "sessionId" in answer, answer.get("message")
            window = Browser(client, answer["sessionId"])
            try:
                yield window
            finally:
                window.ask("DELETE", "")
    finally:
        process.terminate()
        process.wait(10)


def _wait(client: httpx.Client) -> None:
    for _ in range(200):
        try:
            if client.get("/status").json()["value"]["ready"]:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("chromedriver does not answer")
