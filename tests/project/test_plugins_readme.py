"""plugins/README.md does what it says: its code is taken out, counted, and run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import amends
from amends.hooks.hookspecs import API_VERSION
from amends.hooks.specs import READS, WRITES, Operation
from amends.testing.scaffold import KINDS

README = Path(__file__).resolve().parents[2] / "plugins" / "README.md"
TEXT = README.read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```\w+ file=(\S+)\n(.*?)^```$", TEXT, re.M | re.S))

CHECK = """
import importlib, sys
from amends.hooks.registry import Registry
from amends.testing.check import plugin_check

registry = Registry()
for module in sys.argv[1:]:
    registry.add(importlib.import_module(module), name=module, module=module)
    report = plugin_check(module, registry)
    print(*report.lines(), sep="\\n")
    if not report.ok:
        raise SystemExit(1)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    for name, body in FILES.items():
        (folder / name).write_text(body, encoding="utf-8")
    (folder / "check.py").write_text(CHECK, encoding="utf-8")
    return folder


def run(folder: Path, *command: str) -> str:
    host = str(Path(amends.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([host, str(folder)])}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def code_lines(name: str) -> int:
    return len([line for line in FILES[name].splitlines() if line.strip()])


def test_the_lengths_that_it_promises() -> None:
    assert code_lines("flat_coupon.py") <= 20
    assert len(FILES["corner_shop.py"].splitlines()) < 150
    assert code_lines("test_corner_shop.py") <= 10


def test_its_lines_are_no_longer_than_ours() -> None:
    assert [line for body in FILES.values() for line in body.splitlines() if len(line) > 110] == []


def test_its_connector_keeps_the_contract(folder: Path) -> None:
    assert " passed" in run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_corner_shop.py")


def test_its_plugins_pass_plugin_check(folder: Path) -> None:
    said = run(folder, "check.py", "corner_shop", "flat_coupon")
    assert (
        "corner-shop  extend  by hand (Corner Shop back office › Orders › Ship date; once per order)" in said
    )
    assert said.count(" 0 failed") == 2


def test_its_entry_point_names_its_module() -> None:
    project = tomllib.loads(FILES["pyproject.toml"])
    assert project["project"]["entry-points"]["amends"] == {"flat-coupon": "flat_coupon"}
    assert project["tool"]["setuptools"]["py-modules"] == ["flat_coupon"]


def test_what_it_names_is_there() -> None:
    for name in re.findall(r"`Operation\.(\w+)\(", TEXT):
        assert callable(getattr(Operation, name))
    errors = TEXT.partition("## Errors")[2].partition("## Its fake")[0]
    for name in re.findall(r"`([A-Z]\w+)`", errors):
        assert hasattr(amends, name), name
    shared = TEXT.partition("## What need not")[2].partition("```")[0]
    for name in re.findall(
        r"`(\w+)", "".join(line.split("|")[1] for line in shared.splitlines() if "|" in line)
    ):
        assert name == "name" or hasattr(amends, name), name
    declared = TEXT.partition("## What there is to declare")[2].partition("## Say")[0]
    told = set(
        re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in declared.splitlines() if "|" in line))
    )
    assert told >= {*READS, *WRITES}, "every operation has its line"
    assert f"or: {', '.join(KINDS[1:])}" in TEXT
    assert f'AMENDS_API = ">={API_VERSION},<{API_VERSION + 1}"' in TEXT
