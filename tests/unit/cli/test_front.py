"""The front: quick help, light imports, one message per error, exit codes, global options."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.unit.cli.merchants import NOW, Merchant, run

from amends.cases.facts import Answer, Step
from amends.cases.stages import Stage
from amends.cli import cases, options
from amends.cli.output import hours, plain

AMENDS = [sys.executable, "-c", "from amends.cli import main; main()"]


def test_help_is_quick() -> None:
    """At most 0.7 s, best of five; processor time, so that tests running beside this one do not count."""
    code = (
        "import sys, time, atexit\n"
        "atexit.register(lambda: print(time.process_time(), file=sys.stderr))\n"
        "from amends.cli import main\nsys.argv = ['amends', '--help']\nmain()"
    )
    spent = []
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert "Every day" in done.stdout
        spent.append(float(done.stderr.split()[-1]))
    assert min(spent) <= 0.7


def test_the_front_imports_nothing_heavy() -> None:
    code = "import json, sys, amends.cli; print(json.dumps(sorted({n.split('.')[0] for n in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {
        "prefect",
        "httpx",
        "sqlalchemy",
        "alembic",
        "pydantic",
        "pluggy",
        "babel",
        "cryptography",
        "jinja2",
    }
    assert heavy & set(json.loads(done.stdout)) == set()


def test_a_local_sweep_imports_no_prefect(merchant: Merchant) -> None:
    code = (
        "import sys\nfrom amends.cli import app\n"
        f"sys.argv = ['amends', '--config', {str(merchant.folder / 'config')!r}, 'sweep', '--local', '--now', {NOW!r}]\n"
        "try:\n    app()\nexcept SystemExit as end:\n    code = end.code\n"
        "print(code, 'prefect' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False", done.stderr


def test_words_are_those_of_the_domain() -> None:
    assert [one.value for one in options.Answer] == [one.value for one in Answer]
    assert [one.value for one in options.Step] == [one.value for one in Step]
    assert set(cases.STAGES) == {one.value for one in Stage}


def test_config_may_stand_anywhere(swept: Merchant) -> None:
    config = str(swept.folder / "config")
    before = run("--config", config, "cases", "--json")
    assert before.code == 0
    assert run("cases", "--json", "--config", config) == before
    assert run("cases", "--json", f"--config={config}") == before


def test_config_is_found_by_the_environment(swept: Merchant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMENDS_CONFIG", str(swept.folder / "config"))
    assert len(run("cases", "--json").json["cases"]) == 3
    monkeypatch.setenv("AMENDS_CONFIG", "config")
    assert "must be an absolute path" in run("cases").err


def test_version() -> None:
    answer = run("--version")
    assert (answer.code, answer.out.split()[0]) == (0, "amends")


def test_without_a_command_it_helps() -> None:
    answer = run()
    assert answer.code == 2
    assert "Usage" in answer.out + answer.err


def test_an_unexpected_fault_is_one_message(monkeypatch: pytest.MonkeyPatch, swept: Merchant) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh\nno")

    monkeypatch.delenv("AMENDS_DEBUG", raising=False)
    monkeypatch.setattr("amends.ledger.views.case_lines", broken)
    answer = swept("cases")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.splitlines()[0] == "error: unexpected ZeroDivisionError: oh"
    assert "AMENDS_DEBUG=1" in answer.err
    monkeypatch.setenv("AMENDS_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        swept("cases")


def test_ctrl_c_ends_with_130(merchant: Merchant) -> None:
    endless = merchant.folder / "endless.csv"
    os.mkfifo(endless)
    words = ["triage", str(endless), "--mapping", str(merchant.folder / "mapping.toml")]
    process = subprocess.Popen([*AMENDS, *words], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with endless.open("w"):  # opened once the command reads
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err


def test_a_reader_that_has_gone_is_no_fault(tmp_path: Path, merchant: Merchant) -> None:
    many = tmp_path / "many.csv"
    lines = [f"B-{n},1.00,2026-03-06 09:00,2026-03-08 09:00," for n in range(5000)]
    many.write_text("\n".join(["number,amount,ordered,ship_by,shipped", *lines]), encoding="utf-8")
    words = ["triage", str(many), "--mapping", str(merchant.folder / "mapping.toml"), "--json"]
    with subprocess.Popen([*AMENDS, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (141, b"")


def test_nothing_printed_can_steer_a_terminal() -> None:
    assert plain("a\x1b[31mb\u202ec\r\nd") == "a\ufffd[31mb\ufffdc\nd"


def test_hours() -> None:
    assert [hours(value) for value in (None, 3.04, 0.0, -1.26)] == ["–", "3.0 late", "0.0 late", "1.3 left"]
