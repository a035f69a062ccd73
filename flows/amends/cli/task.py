"""`amends task show` and `amends task done`: one task, ready to paste, and finished once."""

from __future__ import annotations

import json as json_
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amends.cli.opened import now_of, open_ledger, open_settings, zone_of
from amends.cli.options import PEOPLE, By, Json, Now
from amends.cli.output import local, print_json, say
from amends.cli.tasks import as_row
from amends.errors import InputError

if TYPE_CHECKING:
    from amends.ledger import Tx
    from amends.ledger.effects import Effect
    from amends.ledger.tasks import Task

TaskId = Annotated[int, typer.Argument(metavar="ID", help="The task's number.")]
task = typer.Typer(help="Show or finish one task.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    app.add_typer(task, name="task", rich_help_panel=PEOPLE)


@task.command("show")
def show(
    ctx: typer.Context,
    id_: TaskId,
    files: Annotated[
        Path | None, typer.Option("--files", metavar="DIR", help="Write its files into this folder.")
    ] = None,
    json: Json = False,
) -> None:
    """Show one task with its texts, ready to paste, and its files. These are personal."""
    settings = open_settings(ctx)
    with open_ledger(settings) as ledger:
        one, kept, effect = ledger.do(_read, id_)
    work = _work(one, kept, effect)
    written = _write(files, one.id, work.pop("contents")) if files else []
    work.pop("contents", None)
    if json:
        print_json(as_row(one) | work | {"written": written})
        return
    zone = zone_of(settings, one.shop)
    say(f"task {one.id}: {one.kind}, order {one.number}, case {one.case}, shop {one.shop}")
    say(
        f"due      {local(one.due_at, zone)} ({zone})"
        + (f"; {one.outcome} by {one.done_by}" if one.done_at else "")
    )
    for name, value in (("where", one.place), ("limits", one.limits), *work["details"].items()):
        if value:
            say(f"{name:<8} {value}")
    for name in ("subject", "text"):
        if work[name]:
            say("", f"{name}:", work[name])  # as it is: a break of ours would be pasted with it
    for name in work["files"]:
        say("", f"file     {name}")
    if work["files"] and not files:
        say("         --files DIR writes them")
    for path in written:
        say(f"written  {path}")
    if not one.done_at:
        say("", f"then     amends task done {one.id} --outcome {'|'.join(one.choices)}")


def _read(tx: Tx, id_: int) -> tuple[Task, dict[str, bytes], Effect | None]:
    from amends.ledger import effects, persons
    from amends.ledger import tasks as ledger_tasks

    one = ledger_tasks.get(tx, id_)
    return one, persons.load(tx, [one.case])[one.case], effects.by_key(tx, [one.effect]).get(one.effect)


def _work(one: Task, kept: dict[str, bytes], effect: Effect | None) -> dict[str, Any]:
    """What the person needs: details, subject, text, the names of files and their contents."""
    from base64 import b64decode

    stored = json_.loads(kept.get(f"request:{one.effect}") or "{}")
    public = json_.loads(effect.request) if effect is not None else {}
    text = stored.get("text", "")
    if one.effect.startswith("reply:"):
        text = kept.get(one.effect, b"").decode(errors="replace")
    names = [file["name"] for file in public.get("files", ())]
    contents = [b64decode(content) for content in stored.get("files", ())]
    details = {
        name: _short(public[name])
        for name in ("remedy", "until", "reason", "instance", "dispute")
        if public.get(name)
    }
    wrote = effect is not None and effect.op in ("message", "complain", "respond", "arbitrate", "legal")
    if (wrote and not stored) or (one.effect.startswith("reply:") and not text):
        details["note"] = "its texts were erased"
    return {
        "details": details,
        "subject": stored.get("subject", ""),
        "text": text,
        "files": names,
        "contents": dict(zip(names, contents, strict=False)),
    }


def _short(value: Any) -> str:
    if isinstance(value, dict):  # a remedy
        return " ".join(str(value[name]) for name in ("kind", "amount", "points", "name") if value.get(name))
    return str(value)


def _write(folder: Path, id_: int, contents: dict[str, bytes]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    written = []
    for name, content in contents.items():
        path = folder / f"task-{id_}-{Path(name).name}"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(content)
        written.append(path)
    return written


@task.command("done")
def done(
    ctx: typer.Context,
    id_: TaskId,
    outcome: Annotated[
        str,
        typer.Option(
            "--outcome", metavar="O", help="How it ended: one of the task's choices, mostly done or not-done."
        ),
    ],
    by: By,
    note: Annotated[str, typer.Option("--note", help="What is worth remembering: a number, a reason.")] = "",
    files: Annotated[
        list[Path] | None,
        typer.Option("--file", metavar="PATH", help="Evidence, such as a screenshot; may be repeated."),
    ] = None,
    now: Now = None,
    json: Json = False,
) -> None:
    """Finish a task, once; its case goes on with the next sweep."""
    contents = _contents(files or [])
    settings = open_settings(ctx)
    from amends.ledger import tasks as ledger_tasks
    from amends.steps import people
    from amends.steps.narrative import tell

    with open_ledger(settings) as ledger:
        one = ledger.do(ledger_tasks.get, id_)
        at = now_of(now, settings, one.shop)
        facts = ledger.do(people.finish_task, id_, outcome, by=by, now=at, note=note, files=contents)
    if json:
        told = [{"seq": fact.seq, "kind": fact.body.kind, "told": tell(fact)} for fact in facts]
        print_json(
            {
                "task": id_,
                "case": one.case,
                "outcome": outcome,
                "by": by,
                "facts": told,
                "files": list(contents),
            }
        )
    else:
        for fact in facts:
            say(f"case {one.case}: {tell(fact)}")


def _contents(files: Iterable[Path]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for path in files:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(
                f"{path}: {error.strerror or error}", hint="Nothing was written; correct --file."
            ) from None
        if path.name in found:
            raise InputError(f"two files are called {path.name}", hint="Nothing was written; rename one.")
        found[path.name] = content
    return found
