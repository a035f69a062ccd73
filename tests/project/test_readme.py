"""The documents do what they say: commands run, tables follow from the code, links lead somewhere.

`python tests/project/test_readme.py` writes anew what is generated in both READMEs: tables and the output of commands.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer.main

from amends.cases.stages import TABLE, Stage
from amends.cli import app
from amends.hooks import hookspecs
from amends.hooks.matrix import markdown
from amends.hooks.registry import Registry
from amends.testing.check import plugin_check

ROOT = Path(__file__).resolve().parents[2]
ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
ROOMS = [ROOT / "flows/amends" / name for name in (
    "cases", "ledger", "steps", "hooks", "workflows", "inbox", "testing", "demo",
)]  # fmt: skip
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
DOCUMENTS = [
    ENGLISH, CHINESE, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "config/README.md", ROOT / "docs/operating.md",
    ROOT / "plugins/README.md", *(folder / "README.md" for folder in [*ROOMS, *PLUGINS]),
]  # fmt: skip
AGAIN = "write it anew with: python tests/project/test_readme.py"

_FENCE = re.compile(r"^```(\w*)(?: file=(\S+))?\n(.*?)^```$", re.M | re.S)
_FILES = re.compile(r"^```\w+ file=\S+\n.*?^```$", re.M | re.S)
_CHINESE_STAGES = {
    Stage.CLOSED: ("了结", "已有结果"),
    Stage.HELD: ("暂停", "被人叫停、数据矛盾、逾期与否不明，或有待人查清的动作"),
    Stage.LEGAL: ("法律", "法律程序已经开始"),
    Stage.ARBITRATION: ("仲裁", "已申请，尚无裁决"),
    Stage.COMPLAINT: ("投诉", "已提交，尚无裁决"),
    Stage.RULED: ("已裁决", "裁决比我们最后的动作更新"),
    Stage.SETTLING: ("赔付中", "客户已接受，答应的尚未确认"),
    Stage.AWAITING_REPLY: ("等待答复", "方案已发出，尚无答复"),
    Stage.REFUSED: ("被拒绝", "最近的方案被拒绝、被还价，或补偿被驳回"),
    Stage.PROMISED: ("已约定", "已接受并赔付，约定的时间尚未打破"),
    Stage.CONTACT: ("联系", "逾期或预警，没有有效的方案"),
    Stage.VERIFY: ("核实", "还什么都没看到，或没有什么要处理"),
}


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the file that it is to be written to, its text."""

    language: str
    file: str
    text: str


def blocks(text: str) -> list[Block]:
    return [Block(*found) for found in _FENCE.findall(text)]


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


# --- what is generated


def stages(chinese: bool) -> str:
    rows = [("阶段", "中文", "何时成立") if chinese else ("stage", "holds when")]
    for row in TABLE:
        rows.append((f"`{row.stage}`", *(_CHINESE_STAGES[row.stage] if chinese else (row.when,))))
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]) + "\n"


def generated(path: Path) -> str:
    """The document with its tables as the code has them now."""
    text = read(path)
    for name, table in {"stages": stages(path == CHINESE), "matrix": markdown(Registry.load())}.items():
        text, count = re.subn(
            rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", lambda m, t=table: m[1] + t + m[2], text, flags=re.S
        )
        assert count == 1, f"{path.name} has no place for {name}"
    return text


# --- what is run


class Terminal:
    """Runs blocks one after the other, as a reader would: `cd` lasts."""

    def __init__(self, folder: Path) -> None:
        self.folder = self.here = folder
        mine = {
            name: value for name, value in os.environ.items() if not name.startswith(("AMENDS_", "PREFECT_"))
        }
        path = os.pathsep.join([str(Path(sys.executable).parent), mine.get("PATH", "")])
        self.environment = mine | {"PATH": path, "HOME": str(folder), "COLUMNS": "100", "PYTHONUTF8": "1"}

    def sh(self, script: str) -> str:
        where = self.folder / ".where"
        done = subprocess.run(
            ["bash", "-euc", f"{script}\npwd > {where}"],
            cwd=self.here, env=self.environment, capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        self.here = Path(read(where).strip())
        return done.stdout

    def console(self, text: str) -> str:
        """The block with what its commands really print."""
        commands = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
        return "".join(f"$ {command}\n{trimmed(self.sh(command))}" for command in commands)

    def follow(self, text: str) -> Iterator[tuple[Block, str]]:
        """Every block of a document, and what it should say."""
        for block in blocks(text):
            said = block.text
            if block.file:
                file = self.folder / block.file
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block.text, encoding="utf-8")
            elif block.language == "console":
                said = self.console(block.text)
            elif block.language == "sh":
                script = [line for line in block.text.splitlines() if not line.startswith("make ")]
                self.sh("\n".join(script))
            else:
                raise AssertionError(f"nobody runs this block: {block}")
            yield block, said


def trimmed(text: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in text.strip("\n").splitlines())


def rewrite() -> None:
    with tempfile.TemporaryDirectory() as folder:
        said = [(block.text, now) for block, now in Terminal(Path(folder)).follow(generated(ENGLISH))]
    for path in (ENGLISH, CHINESE):
        text = generated(path)
        for before, now in said:
            text = text.replace(before, now)
        path.write_text(text, encoding="utf-8")


# --- the tests


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[Block, str]]]:
    folder = tmp_path_factory.mktemp("readme")
    return folder, list(Terminal(folder).follow(read(ENGLISH)))


def test_every_block_runs_and_prints_what_the_readme_shows(
    followed: tuple[Path, list[tuple[Block, str]]],
) -> None:
    for block, said in followed[1]:
        assert block.text == said, AGAIN


def test_its_make_targets_are_there() -> None:
    targets = re.findall(r"^([a-z-]+):", read(ROOT / "Makefile"), re.M)
    text = "".join(map(read, (ENGLISH, CHINESE, ROOT / "CONTRIBUTING.md")))
    named = re.findall(r"(?:^|`)make ([a-z-]+)", text, re.M)
    assert {"demo", "test"} <= set(named)
    assert set(named) <= set(targets)


def test_its_policy_is_the_one_that_the_plugins_page_shows_and_passes_plugin_check(
    followed: tuple[Path, list[tuple[Block, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {block.file: block.text for block in blocks(read(ROOT / "plugins/README.md"))}
    mine = {block.file: block.text for block, _ in followed[1] if block.file}
    for name in ("flat_coupon.py", "pyproject.toml"):
        assert mine[name] == there[name]
    assert len([line for line in mine["flat_coupon.py"].splitlines() if line.strip()]) <= 20
    monkeypatch.syspath_prepend(followed[0])
    registry = Registry()
    registry.add(__import__("flat_coupon"), name="flat-coupon", module="flat_coupon")
    report = plugin_check("flat-coupon", registry)
    assert report.ok, report.lines()


@pytest.mark.parametrize("path", [ENGLISH, CHINESE], ids=lambda path: path.name)
def test_tables_follow_from_the_code(path: Path) -> None:
    assert read(path) == generated(path), AGAIN


def test_both_languages_have_the_same_parts_and_the_same_code() -> None:
    def parts(path: Path) -> list[str]:
        prose = _FENCE.sub("", read(path))
        return re.findall(r"^#+ |^\| `?amends [^|]+|^!\[[^]]*\](\([^)]*\))", prose, re.M)

    def links(path: Path) -> list[str]:
        return sorted(set(re.findall(r"\]\(([^)]+)\)", read(path))) - {"README.md", "README.zh-CN.md"})

    assert parts(ENGLISH) == parts(CHINESE)
    assert links(ENGLISH) == links(CHINESE)
    assert blocks(read(ENGLISH)) == blocks(read(CHINESE))
    rows = [len(re.findall(r"^\|.*\|$", read(path), re.M)) for path in (ENGLISH, CHINESE)]
    assert rows[0] == rows[1]


def commands() -> set[str]:
    top = typer.main.get_command(app)
    found = set()
    for name, command in top.commands.items():  # type: ignore[attr-defined]  # a group has them
        inner = getattr(command, "commands", None)
        found |= {f"{name} {sub}" for sub in inner} if inner else {name}
    return found


@pytest.mark.parametrize("path", [ENGLISH, CHINESE], ids=lambda path: path.name)
def test_every_command_is_explained(path: Path) -> None:
    rows = re.findall(r"^\| `amends ([a-z -]+?)(?: [A-Z].*)?` \|", read(path), re.M)
    assert sorted(rows) == sorted(commands())


@pytest.mark.parametrize("name", [name for name in dir(hookspecs) if name.startswith("amends_")])
def test_every_hook_is_explained(name: str) -> None:
    assert name in read(ROOT / "plugins/README.md")
    assert name in read(ROOT / "flows/amends/hooks/README.md")


def test_every_room_and_every_plugin_has_a_readme() -> None:
    assert [str(path) for path in DOCUMENTS if not path.is_file()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", _FENCE.sub("", read(path)))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_toml_can_be_read(path: Path) -> None:
    for block in blocks(read(path)):
        if block.language == "toml":
            assert tomllib.loads(block.text)


def test_the_mapping_that_the_spreadsheet_s_page_shows_reads_its_export(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    page = (
        "\n".join(found[0] for found in _FILES.finditer(read(ROOT / "plugins/spreadsheet/README.md"))) + "\n"
    )
    assert [block.file for block, _ in terminal.follow(page)] == ["orders.csv", "mine.toml"]
    said = json.loads(
        terminal.sh("amends triage orders.csv --mapping mine.toml --now 2026-10-06T12:00Z --json")
    )
    assert (said["rows"], said["counts"]["overdue"], said["unreadable"]) == (2, 1, [])
    assert [order["amount"] for order in said["late"]] == ["1234.56 EUR"]


@pytest.mark.parametrize("room", [*ROOMS, *PLUGINS], ids=lambda room: room.name)
def test_files_that_a_room_names_are_there(room: Path) -> None:
    text = _FENCE.sub("", read(room / "README.md"))
    named = set(re.findall(r"`([\w./-]+\.(?:py|toml|j2|yaml|mako|txt))`", text))
    places = [room, room / f"amends_{room.name}", ROOT]
    assert sorted(name for name in named if not any((place / name).exists() for place in places)) == []


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_python_in_a_room_s_page_names_what_is_there(room: Path) -> None:
    for block in blocks(read(room / "README.md")):
        if block.language == "python":
            compile(block.text, str(room / "README.md"), "exec")
            for module, name in re.findall(r"^from (amends\S*) import (\w+)$", block.text, re.M):
                source = ROOT / "flows" / Path(*module.split("."))
                source = source / "__init__.py" if source.is_dir() else source.with_suffix(".py")
                assert re.search(rf"\b{name}\b", read(source)), f"{module} has no {name}"


if __name__ == "__main__":
    rewrite()
