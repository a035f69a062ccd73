"""`new-plugin` writes distributions that work as they are: tests, types, style and `plugin-check`."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import amends
from amends.errors import InputError
from amends.testing.scaffold import KINDS, NewPlugin, new_plugin

HOST = Path(amends.__file__).parents[1]

CHECK = """
import importlib
from amends.hooks.registry import Registry
from amends.testing.check import plugin_check

registry = Registry()
registry.add(importlib.import_module("{made.package}"), name="{made.name}", module="{made.package}")
report = plugin_check("{made.name}", registry)
print(*report.lines(), sep="\\n")
raise SystemExit(not report.ok)
"""


def run(made: NewPlugin, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(HOST), str(made.folder)])
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=made.folder,
        env=os.environ | {"PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module", params=KINDS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> NewPlugin:
    return new_plugin(request.param, f"corner-{request.param}", tmp_path_factory.mktemp(request.param))


def test_its_own_tests_pass_as_generated(made: NewPlugin) -> None:
    # Bare pytest: an author needs none of its plugins.
    done = run(made, "pytest", "-q", "-p", "no:cacheprovider", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_plugin_check_passes_as_generated(made: NewPlugin) -> None:
    (made.folder / "check_it.py").write_text(CHECK.format(made=made), encoding="utf-8")
    done = run(made, "check_it")
    (made.folder / "check_it.py").unlink()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 failed" in done.stdout
    assert "light import" not in done.stdout  # it was tried, and passed


def test_it_is_typed(made: NewPlugin, tmp_path_factory: pytest.TempPathFactory) -> None:
    # One cache for all kinds: amends itself is read once.
    cache = tmp_path_factory.getbasetemp() / "mypy"
    types = run(made, "mypy", "--cache-dir", str(cache), "-p", made.package, MYPYPATH=str(HOST))
    assert types.returncode == 0, types.stdout


@pytest.mark.parametrize("name", ["corner", "shop-next-door"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_tidy(kind: str, name: str, tmp_path: Path) -> None:
    made = new_plugin(kind, name, tmp_path)
    style = run(made, "ruff", "check", "--no-cache", "--select", "B,C4,DTZ,E,F,I,UP,W", ".")
    assert style.returncode == 0, style.stdout


def test_it_is_a_distribution_with_an_entry_point(made: NewPlugin) -> None:
    project = tomllib.loads((made.folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == f"amends-{made.name}"
    assert project["entry-points"]["amends"] == {made.name: made.package}
    assert project["dependencies"] == ["amends"]
    assert (made.folder / made.package / "py.typed").is_file()
    assert set(made.files) == {
        path for path in made.folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }


def test_its_test_file_is_short(made: NewPlugin) -> None:
    [test] = (made.folder / "tests").glob("test_*.py")
    lines = [line for line in test.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert len(lines) <= 10


def test_blanks_are_marked_and_explained(made: NewPlugin) -> None:
    marked = [
        line.partition("FILL IN")[2]
        for path in made.files
        if path.suffix == ".py"
        for line in path.read_text(encoding="utf-8").splitlines()
        if "FILL IN" in line
    ]
    assert len(marked) == made.blanks >= 3
    assert [line for line in marked if not line.startswith(": ") or len(line) < 20] == []
    assert "FILL IN" in (made.folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        (
            "conector",
            "corner",
            "'conector' is no kind of plugin; choose one of: connector, desk, channel, policy",
        ),
        ("connector", "Corner Shop", "'Corner Shop' is no plugin name"),
        ("connector", "corner--shop", "is no plugin name"),
        ("connector", "../corner", "is no plugin name"),
        ("connector", "2corner", "is no plugin name"),
        ("connector", "", "is no plugin name"),
        ("connector", "amends-corner", "leave out `amends-`"),
    ],
)
def test_wrong_input_is_told_and_writes_nothing(kind: str, name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        new_plugin(kind, name, tmp_path)
    assert said in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "amends-corner").mkdir()
    (tmp_path / "amends-corner" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is there already; nothing was written"):
        new_plugin("policy", "corner", tmp_path)
    assert [path.name for path in (tmp_path / "amends-corner").iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "amends-corner").mkdir()
    made = new_plugin("policy", "corner", tmp_path)
    assert made.folder == tmp_path / "amends-corner"
    assert made.next_steps[-1] == "amends plugin-check corner"
