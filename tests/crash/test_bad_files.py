"""A ledger file that is full, locked, damaged, newer or out of reach: one message with what to do, and nothing lost after.

Each is met where a merchant meets it: in `amends sweep --local` and `amends doctor`, on a shop whose door is its export.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from tests.crash.disk import FULL, IOERR_WRITE, Op, watched
from tests.crash.farm import ROOT
from tests.unit.cli.merchants import NOW, Answer, Merchant, merchant_in

from amends.ledger import database

pytestmark = pytest.mark.crash
NEXT, LAST = "2026-03-11T12:00+08:00", "2026-03-11T18:00+08:00"
PAGE = 4096


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a shop that was swept once."""
    folder = tmp_path_factory.mktemp("whole")
    assert merchant_in(folder)("sweep", "--local", "--now", NOW).code == 0
    return folder


@pytest.fixture
def swept(whole: Path, tmp_path: Path) -> Merchant:
    """Such a shop, to be spoilt."""
    folder = tmp_path / "shop"
    shutil.copytree(whole, folder)
    shops = folder / "config/base/shops.toml"
    shops.write_text(shops.read_text().replace(str(whole), str(folder)))
    exported(shop := Merchant(folder), NEXT)
    return shop


def ledger_of(shop: Merchant) -> Path:
    return shop.folder / "state/amends.db"


def exported(shop: Merchant, now: str) -> None:
    """The export is as new as that: an old one says nothing about today."""
    at = datetime.fromisoformat(now).timestamp()
    os.utime(shop.export, (at, at))


def told(answer: Answer, *words: str) -> None:
    """One clear message, and no traceback."""
    said = " ".join((answer.err + answer.out).split())
    assert answer.code == 1, said
    for word in (*words, "hint: "):
        assert word in said
    assert "Traceback" not in said and "unexpected" not in said
    assert said.count("error: ") == 1, "one message"


def goes_on(shop: Merchant) -> None:
    """The next sweeps work, every fact holds, and each late order has its one case and its one task."""
    for now in (NEXT, LAST):
        exported(shop, now)
        assert shop("sweep", "--local", "--now", now).code == 0
    assert shop("evidence", "verify").code == 0
    assert sorted(line["number"] for line in shop("cases", "--now", LAST, "--json").json["cases"]) == [
        "=R-3",
        "L-1",
        "L-2",
    ]
    with closing(sqlite3.connect(ledger_of(shop))) as connection:
        twice = connection.execute(
            "SELECT number, kind, round FROM effects GROUP BY 1, 2, 3 HAVING count(*) > 1"
        )
        assert twice.fetchall() == []
        assert connection.execute("SELECT count(*) FROM effects WHERE op = 'message'").fetchone()[0] >= 2


class Failing:
    """A disk that refuses every write from the n-th on, as long as it is told to."""

    def __init__(self, nth: int, code: int) -> None:
        self.left, self.code, self.broken = nth, code, True

    def __call__(self, op: Op) -> int | None:
        if not self.broken or op.what != "write":
            return None
        self.left -= 1
        return self.code if self.left < 0 else None


@pytest.mark.usefixtures("watchable")
@pytest.mark.parametrize("nth", [0, 1, 5, 20, 60, 120])
@pytest.mark.parametrize(
    ("code", "words"),
    [(FULL, ("no room left", "Free disk space")), (IOERR_WRITE, ("the disk of", "Look at the disk"))],
    ids=["full", "failing"],
)
def test_a_disk_that_is_full_or_fails(swept: Merchant, nth: int, code: int, words: tuple[str, ...]) -> None:
    with watched(failing := Failing(nth, code)):
        told(swept("sweep", "--local", "--now", NEXT), *words)
        if nth == 0:
            assert swept("doctor", "--now", NEXT).code == 1
        failing.broken = False  # somebody has made room
        goes_on(swept)


@pytest.mark.usefixtures("watchable")
def test_a_disk_that_is_full_before_there_is_a_ledger(tmp_path: Path) -> None:
    shop = merchant_in(tmp_path / "shop")
    with watched(failing := Failing(0, FULL)):
        told(shop("sweep", "--local", "--now", NOW), "no room left", "Free disk space")
        failing.broken = False
        goes_on(shop)


def test_a_limit_on_the_file_s_size(swept: Merchant) -> None:
    """The kernel's own refusal, which needs no rights: the ledger may not grow beyond what it is."""
    size = ledger_of(swept).stat().st_size

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    command = [
        sys.executable,
        "-m",
        "amends",
        "--config",
        str(swept.folder / "config"),
        "sweep",
        "--local",
        "--now",
        NEXT,
    ]
    ended = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True, timeout=60, cwd=ROOT)
    told(Answer(ended.returncode, ended.stdout, ended.stderr), "the disk of", "ulimit")
    goes_on(swept)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 1 MB, where this user may mount one."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "amends-test", str(folder)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("a file system cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_file_system_without_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small") as small:
        shop = merchant_in(small / "shop")
        assert shop("sweep", "--local", "--now", NOW).code == 0
        filler = small / "filler"
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(bytes(PAGE))
        exported(shop, NEXT)
        told(shop("sweep", "--local", "--now", NEXT), "no room left", "Free disk space")
        filler.unlink()
        goes_on(shop)


@contextmanager
def held(path: Path, seconds: float) -> Iterator[None]:
    """Another process's lock on the ledger, for so long."""
    code = (
        "import sqlite3, sys, time\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN EXCLUSIVE')\n"
        "print('held', flush=True); time.sleep(float(sys.argv[2]))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path), str(seconds)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield
    finally:
        process.kill()
        process.communicate()


def test_a_lock_is_waited_for(swept: Merchant) -> None:
    began = time.monotonic()
    with held(ledger_of(swept), 0.8):
        assert swept("sweep", "--local", "--now", NEXT).code == 0
    assert time.monotonic() - began > 0.7
    goes_on(swept)


def test_a_lock_that_is_never_let_go(swept: Merchant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY", 0.1)
    with held(ledger_of(swept), 60):
        told(
            swept("sweep", "--local", "--now", NEXT),
            "locked by another process",
            "Wait for the other process",
        )
        doctor = swept("doctor", "--now", NEXT)
        assert doctor.code == 1
        assert "locked by another process" in " ".join(doctor.out.split())
    goes_on(swept)


def flipped(data: bytes, *places: int) -> bytes:
    changed = bytearray(data)
    for place in places:
        changed[place] ^= 0xFF
    return bytes(changed)


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "magic": (lambda data: flipped(data, 3, 9), "is damaged"),
    "page-size": (lambda data: flipped(data, 16), "is damaged"),
    "first-page": (lambda data: data[:100] + b"\xff" * (PAGE - 100) + data[PAGE:], "is damaged"),
    "all-other-pages": (lambda data: data[:PAGE] + b"\xff" * (len(data) - PAGE), "is damaged"),
    "cut-in-half": (lambda data: data[: len(data) // 2 // PAGE * PAGE], "is damaged"),
    "cut-within-a-page": (lambda data: data[: PAGE + 1000], "is damaged"),
    "empty": (lambda data: b"", "is empty"),
    "no-database": (lambda data: b"orders,amount\n" * 600, "is damaged"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file(swept: Merchant, name: str) -> None:
    """Named at once, left as it is, and the copy kept elsewhere works as if nothing had been."""
    damage, word = DAMAGES[name]
    file = ledger_of(swept)
    good = file.read_bytes()
    bad = damage(good)
    file.write_bytes(bad)
    told(swept("sweep", "--local", "--now", NEXT), word, "Stop all workers", "backup")
    assert file.read_bytes() == bad, "nothing is made of a damaged file"
    doctor = swept("doctor", "--now", NEXT)
    assert doctor.code == 1
    assert word in " ".join(doctor.out.split())
    file.write_bytes(good)
    goes_on(swept)


@pytest.mark.parametrize("seed", range(25))
def test_bytes_that_flip_are_never_a_crash(swept: Merchant, seed: int) -> None:
    """A page damaged anywhere: each command works, or says in one message what is wrong."""
    draw = random.Random(f"flips {seed}")
    file = ledger_of(swept)
    data = bytearray(file.read_bytes())
    page = draw.randrange(len(data) // PAGE) * PAGE
    for _ in range(draw.choice((1, 20, 400))):
        data[page + draw.randrange(PAGE)] ^= 1 << draw.randrange(8)
    for words in (["sweep", "--local"], ["doctor"], ["evidence", "verify"], ["overdue"]):
        file.write_bytes(bytes(data))
        file.with_name("amends.db-journal").unlink(missing_ok=True)
        answer = swept(*words, *(["--now", NEXT] if words[0] != "evidence" else []))
        assert answer.code in (0, 1)
        assert "unexpected" not in answer.out + answer.err, answer.out + answer.err


def test_a_ledger_of_a_newer_amends(swept: Merchant) -> None:
    def stamp(version: str) -> str:
        with closing(sqlite3.connect(ledger_of(swept))) as connection, connection:
            (before,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
        return str(before)

    ours = stamp("9999")
    told(swept("sweep", "--local", "--now", NEXT), "is at schema 9999", "Upgrade amends")
    doctor = swept("doctor", "--now", NEXT)
    assert doctor.code == 1 and "9999" in doctor.out
    stamp(ours)
    goes_on(swept)


def test_a_folder_where_nothing_can_be_made(tmp_path: Path) -> None:
    shop = merchant_in(tmp_path / "shop")
    (tmp_path / "shop/file").write_text("a file where a folder should be")
    place = shop.folder / "config/base/ledger.toml"
    for folder in ("file/state", "/proc/nowhere"):  # not even root makes these
        place.write_text(f'[ledger]\nfolder = "{folder}"\n')
        told(shop("sweep", "--local", "--now", NOW), "cannot make the folder", "Set [ledger] folder")
    place.unlink()
    goes_on(shop)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_file_and_a_folder_that_may_only_be_read(swept: Merchant) -> None:
    for path, mode in ((ledger_of(swept), 0o600), (ledger_of(swept).parent, 0o700)):
        path.chmod(mode & 0o500)
        try:
            told(swept("sweep", "--local", "--now", NEXT), "cannot be opened for writing", "permissions")
        finally:
            path.chmod(mode)
    goes_on(swept)


def test_a_wrong_key(swept: Merchant) -> None:
    key = swept.folder / "state/amends.key"
    right = key.read_text()
    key.write_text("A" * 43 + "=\n")
    told(
        swept("sweep", "--local", "--now", NEXT),
        "key does not fit this ledger",
        "with which the ledger was made",
    )
    doctor = swept("doctor", "--now", NEXT)
    assert doctor.code == 1 and "key does not fit" in " ".join(doctor.out.split())
    key.write_text(right)
    goes_on(swept)


def test_two_sweeps_at_once_stand_in_nobody_s_way(swept: Merchant) -> None:
    """One works, the other says that it is at work there, or waits; each late order is still done once."""
    command = [
        sys.executable,
        "-m",
        "amends",
        "--config",
        str(swept.folder / "config"),
        "sweep",
        "--local",
        "--now",
        NEXT,
    ]
    codes: list[int] = []

    def one() -> None:
        codes.append(subprocess.run(command, capture_output=True, timeout=60, cwd=ROOT).returncode)

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0, 0, 0]
    goes_on(swept)
