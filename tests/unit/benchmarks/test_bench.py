"""`make bench`: a part that fails or hangs is told in its place; the judges of quotas and claims see what is wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from benchmarks import __main__ as bench
from benchmarks import claims
from benchmarks.parts import PARTS, Part
from benchmarks.quota import beyond


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Part]:
    """A part made of this code."""
    root = Path(bench.__file__).parent.parent
    monkeypatch.setenv("PYTHONPATH", f"{root}:{tmp_path}")
    monkeypatch.setattr(bench, "in_use", lambda: 0.0)
    monkeypatch.setattr(bench, "PACKAGE", "made_up")
    (tmp_path / "made_up").mkdir()

    def make(code: str) -> Part:
        (tmp_path / "made_up/part.py").write_text(code, encoding="utf-8")
        return Part("part", "A part", "part", minutes=3 / 60)

    return make


def test_a_part_that_works_is_shown(module: Callable[[str], Part]) -> None:
    done = bench.run(module("print('| a | b |')"), quick=False, dbos_python="")
    assert (done.problem, done.text) == ("", "| a | b |")
    assert "## A part" in done.lines() and "| a | b |" in done.lines()


def test_a_part_that_fails_says_why_and_keeps_what_it_had(module: Callable[[str], Part]) -> None:
    done = bench.run(module("print('| a |')\nraise SystemExit('no disk')"), quick=False, dbos_python="")
    assert "no disk" in done.problem
    text = bench.report([done, done], 0.0, "command")
    assert text.count("no disk") == 2 and text.count("| a |") == 2


def test_a_part_that_hangs_is_ended_and_prints_what_it_has(module: Callable[[str], Part]) -> None:
    code = "import time\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print('so far')"
    done = bench.run(module(code), quick=False, dbos_python="")
    assert "Not finished" in done.problem and done.text == "so far"
    assert done.seconds < 30


def test_every_part_is_a_module() -> None:
    here = Path(bench.__file__).parent
    assert [part.name for part in PARTS if not (here / f"{part.module}.py").exists()] == []
    assert len({part.name for part in PARTS}) == len(PARTS)


def test_the_judge_of_windows_sees_a_violation() -> None:
    assert beyond([0.0, 1.0, 2.0, 3.0], 1.0, 1) == (1, 0)
    assert beyond([0.0, 1.0, 2.0, 2.0, 2.0, 5.0], 1.0, 2) == (3, 1)
    assert beyond([0.0, 0.0, 0.0], 1.0, 1) == (3, 2)


def test_raw_sqlite_claims_the_same_and_knows_the_same(tmp_path: Path) -> None:
    """`Claims` compares both sides itself; here that it would notice."""
    found = claims.Claims(tmp_path, 300, 8)
    for measured in (False, True):
        found.take_turn(measured=measured)
    found.close()
    assert len(found.ours) == 1 and all(len(times) == 1 for times in found.raw.values())
    assert not list(tmp_path.glob("claims-*.db"))
    with pytest.raises(AssertionError, match="claimed"):
        claims._the_same([], {})


def test_it_needs_a_known_part(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--only", "nonsense"])
    with pytest.raises(SystemExit):
        bench.main()
    assert "sidebyside" in capsys.readouterr().err
