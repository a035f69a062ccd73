"""`kill -9` of the command that a merchant types, from its first import on; run again, nothing is repeated or lost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from tests.crash.arena import judged
from tests.crash.farm import ROOT
from tests.crash.killing import SEED, again

from amends.demo.operator import Operator
from amends.demo.world import CONFIG, SHOP
from amends.ledger import Ledger, Vault
from amends.settings import Settings
from amends.testing.control import launch

pytestmark = pytest.mark.crash
EVERY = timedelta(hours=6)


def test_the_command_itself_killed_and_run_again(tmp_path: Path) -> None:
    config = tmp_path / "config"
    (config / "base").mkdir(parents=True)
    with launch(tmp_path / "sandbox", seed=SEED, orders=30, days=5, faults="demo") as box:
        (config / "base" / "demo.toml").write_text(CONFIG.format(url=box.url))
        now = box.control.clock() + 4 * EVERY

        def command() -> list[str]:
            box.control.set_clock(now)
            words = ["sweep", "--local", "--shop", SHOP, "--now", now.isoformat(), "--json"]
            return [sys.executable, "-m", "amends", "--config", str(config), *words]

        for after in (0.5, 1.4):
            process = subprocess.Popen(
                command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT
            )
            time.sleep(after)
            process.kill()
            process.wait()
        now += 4 * EVERY
        for point in ("before-intake:1", "after-sent:1", "after-send:1"):
            environment = {**os.environ, "AMENDS_CRASH": point}
            killed = subprocess.run(command(), env=environment, capture_output=True, timeout=60, cwd=ROOT)
            assert killed.returncode == -9, f"{point} was not met: {killed.stderr!r}"
            now += 4 * EVERY
        settings = Settings.load(config)
        for _ in range(3):
            done = subprocess.run(command(), capture_output=True, text=True, timeout=60, cwd=ROOT)
            assert done.returncode == 0, done.stderr
            assert '"state": "done"' in done.stdout, "the lease of the killed one is free at once"
            ledger = Ledger.open(settings.ledger_url, Vault(settings.ledger_key()))
            Operator(ledger, box.control, SHOP).work(now)
            verdict = judged(ledger, box.control.journal(), now)
            ledger.close()
            now += EVERY
        assert not verdict.wrong, f"{verdict.wrong}\nrepeat: {again('command_itself', SEED)}"
