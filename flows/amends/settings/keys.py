"""The ledger's key: made once, in a file that only its owner reads, never anew for a ledger that exists."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from pathlib import Path

from amends.errors import ConfigError
from amends.settings.problems import Problem, config_error

SIZE = 32


def make_key() -> str:
    """A fresh key as the text that config, environment and file hold."""
    return base64.urlsafe_b64encode(secrets.token_bytes(SIZE)).decode()


def parse(text: str, *, where: Problem) -> bytes:
    """The key's bytes from base64 (either alphabet) or hex; the `ConfigError` raised never shows the text."""
    text = text.strip()
    try:
        if len(text) == SIZE * 2:
            return bytes.fromhex(text)
        raw = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    if len(raw) != SIZE:
        what = f"{where.what} holds no key of {SIZE} bytes in base64"
        make = "python -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())'"
        raise config_error([Problem(where.file, where.key, what, f"make one with: {make}")])
    return raw


def read_or_make(file: Path, *, database: Path | None, create: bool) -> bytes:
    """The key in that file, made with mode 0600 where there is neither key nor ledger yet."""
    try:
        return parse(file.read_text(encoding="ascii"), where=Problem(str(file), "", "this file"))
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a key"
        raise ConfigError(
            f"cannot read the ledger's key {file} ({reason})", hint="Correct the file's rights."
        ) from None
    if not create or (database is not None and database.is_file() and database.stat().st_size > 0):
        raise ConfigError(
            f"the ledger's key {file} is gone"
            if database and database.is_file()
            else f"there is no key {file} yet",
            hint="Restore the key file from your backup, or name its place by [ledger] key; "
            "a new key could not read what the old one encrypted.",
        )
    prepare(file.parent)
    fresh = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            stream.write(make_key() + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(fresh, file)  # atomic, and refuses where another process was first: its key counts
        except FileExistsError:
            pass
    except OSError as error:
        raise ConfigError(
            f"cannot write the ledger's key {file} ({error.strerror})",
            hint="Make the folder writable, or set [ledger] folder.",
        ) from None
    finally:
        fresh.unlink(missing_ok=True)
    return parse(file.read_text(encoding="ascii"), where=Problem(str(file), "", "this file"))


def prepare(folder: Path) -> Path:
    """The state folder, for its owner only, and kept out of git."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        ignore = folder / ".gitignore"
        if not any(folder.iterdir()):
            ignore.write_text("*\n", encoding="ascii")
    except OSError as error:
        raise ConfigError(
            f"cannot make the folder {folder} ({error.strerror})",
            hint="Set [ledger] folder to one that can be written.",
        ) from None
    return folder
