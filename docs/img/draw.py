"""Draws the README's pictures from a real demo: what it printed at its end, and one case's story.

amends demo --state demo > demo.txt
python docs/img/draw.py demo.txt demo

writes `demo.svg` and `case.svg` beside this file. In `demo.svg` the tables stand side by side instead of one below the other.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import pairwise, zip_longest
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
WIDTH = 112
# Rich names a font on a foreign host. Pictures here load nothing.
FORMAT = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
FORMAT = FORMAT.replace("Fira Code, monospace", "'DejaVu Sans Mono', Menlo, Consolas, monospace")


def draw(name: str, command: str, lines: list[str]) -> None:
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere)
        console.print(Text(f"$ {command}\n", style="bold green"))
        for line in lines:
            console.print(Text(line), soft_wrap=True)
        svg = console.export_svg(title="amends", code_format=FORMAT, unique_id=f"amends-{name}")
    (HERE / f"{name}.svg").write_text(
        "\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8"
    )


def side_by_side(text: str) -> list[str]:
    """The tables in two columns, what stands before and after them as it was."""
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines) if "orders, " in line and "cases:" in line)
    tables = [i for i, line in enumerate(lines) if line.startswith("┏")]
    last = max(i for i, line in enumerate(lines) if line.startswith("└"))
    head = " ".join(line.strip() for line in lines[first : tables[0] - 1] if line.strip())
    begins = [i - 1 for i in tables] + [last + 1]
    blocks = [[line.rstrip() for line in lines[a:b]] for a, b in pairwise(begins)]
    left, right = [*blocks[0], "", *blocks[2], "", *blocks[4]], [*blocks[1], "", *blocks[3]]
    pairs = [f"{a:<56}{b}".rstrip() for a, b in zip_longest(left, right, fillvalue="")]
    tail = [line for line in lines[last + 1 :] if line.strip()]
    evidence = " ".join(
        line.strip() for line in tail[: next(i for i, t in enumerate(tail) if t.startswith("Look"))]
    )
    return [head, "", *pairs, "", *evidence.replace(". Evidence", ".\nEvidence").splitlines()]


def story(state: Path) -> tuple[str, list[str]]:
    """The shortest of the first cases that were complained of, arbitrated and given to a lawyer; else the first one."""
    run = {"env": os.environ | {"COLUMNS": str(WIDTH)}, "capture_output": True, "text": True, "check": True}

    def told(case: int) -> str:
        command = ["amends", "--config", str(state / "config"), "case", str(case), "--now", "2026-03-08"]
        return str(subprocess.run(command, **run).stdout)  # type: ignore[call-overload]  # options in one place

    stories = {case: text for case in range(1, 21) if "legal filed" in (text := told(case))} or {1: told(1)}
    found = min(stories, key=lambda case: len(stories[case]))
    return f"amends case {found}", stories[found].splitlines()


def main() -> None:
    text, state = Path(sys.argv[1]), Path(sys.argv[2])
    draw("demo", "make demo", side_by_side(text.read_text(encoding="utf-8")))
    draw("case", *story(state))


if __name__ == "__main__":
    main()
