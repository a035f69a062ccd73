"""`kill -9` of the whole demo at two moments, then run again: it goes on, and nothing is repeated or lost."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tests.crash.killing import KILLS, SEED, again, draws

pytestmark = pytest.mark.crash
OPTIONS = {"orders": 40, "days": 4}
PROGRAM = """
import json, sys
from pathlib import Path
from amends.demo.run import Demo
demo = Demo(Path(sys.argv[1]), orders=int(sys.argv[2]), days=int(sys.argv[3]), seed=int(sys.argv[4]), prefect=False)
print(json.dumps([demo.run(), demo.losses]))
"""


def start(state: Path, seed: int) -> subprocess.Popen[str]:
    arguments = [str(state), str(OPTIONS["orders"]), str(OPTIONS["days"]), str(seed)]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("seed", range(SEED, SEED + math.ceil(KILLS / 500)))
def test_killed_twice_and_run_to_the_end(seed: int) -> None:
    draw = draws(seed, "demo")
    shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="amends-crash-", dir=shm) as folder:
        state = Path(folder) / "state"
        for sweeps in (draw.randint(1, 5), draw.randint(2, 8)):
            process = start(state, seed)
            assert process.stderr is not None
            while sweeps:
                line = process.stderr.readline()
                assert line, "the demo ended before it was killed"
                sweeps -= line.startswith("day")
            try:
                process.wait(draw.uniform(0.0, 0.3))
            except subprocess.TimeoutExpired:
                process.kill()
            process.communicate()
            assert process.returncode == -9
        process = start(state, seed)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert "resuming the demo" in err
        result, losses = json.loads(out)
        counts = result["duplicates"], result["lost"], result["evidence"]["broken"]
        assert counts == (0, 0, 0), f"{losses}\nrepeat: {again('killed_twice', seed)}"
        assert json.loads((state / "demo.json").read_text())["finished"]
