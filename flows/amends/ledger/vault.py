"""Keeps personal values apart and unreadable: AES-256-GCM with a key per case, so that destroying a key erases a case.

The ledger's own key wraps the cases' keys, encrypts the inbox and signs the chain heads.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from base64 import b32encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from amends.errors import LedgerError

_NONCE = 12


class Vault:
    """Encrypts, signs and salts with one 32-byte master key."""

    def __init__(self, master: bytes, *, random: Callable[[int], bytes] = os.urandom) -> None:
        if len(master) != 32:
            raise LedgerError(
                "the ledger's key must be 32 bytes",
                hint="Make one with `amends init`, or restore the one you had.",
            )
        self._random = random
        self._master = AESGCM(_derive(master, b"wrap"))
        self._sign = _derive(master, b"sign")
        self._inbox = AESGCM(_derive(master, b"inbox"))
        self._others = _derive(master, b"others")

    @classmethod
    def from_text(cls, text: str) -> Vault:
        """From the url-safe base64 text of a key file or environment variable."""
        try:
            return cls(urlsafe_b64decode(text.strip().encode()))
        except ValueError as error:
            raise LedgerError(
                "the ledger's key is not 32 bytes in base64", hint="See `[ledger] key` in config/README.md."
            ) from error

    @classmethod
    def from_file(cls, path: Path) -> Vault:
        """From a key file; makes one, readable by its owner only, where there is none."""
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            return cls.from_text(path.read_text())
        with os.fdopen(handle, "w") as file:
            file.write(cls.new_key())
            file.flush()
            os.fsync(file.fileno())
        return cls.from_text(path.read_text())

    @staticmethod
    def new_key() -> str:
        return urlsafe_b64encode(os.urandom(32)).decode()

    def key_for(self, purpose: str) -> bytes:
        """A key of its own for one purpose elsewhere, such as signing links; it tells nothing of any other key."""
        return _derive(self._others, purpose.encode())

    def mac(self, *parts: bytes) -> bytes:
        """A signature over the parts, each length-prefixed so that they cannot run into each other."""
        whole = b"".join(piece for part in parts for piece in (len(part).to_bytes(8, "big"), part))
        return hmac.digest(self._sign, whole, "sha256")

    def new_case_key(self) -> tuple[CaseKey, bytes]:
        """A fresh key for a case, and how it is stored."""
        raw = self._random(48)
        nonce = self._random(_NONCE)
        return CaseKey(raw, self._random), nonce + self._master.encrypt(nonce, raw, b"case-key")

    def open_case_key(self, wrapped: bytes) -> CaseKey:
        try:
            return CaseKey(
                self._master.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], b"case-key"), self._random
            )
        except InvalidTag as error:
            raise LedgerError(
                "the ledger's key does not fit this ledger",
                hint="Use the key with which the ledger was made.",
            ) from error

    def seal(self, value: bytes) -> bytes:
        nonce = self._random(_NONCE)
        return nonce + self._inbox.encrypt(nonce, value, None)

    def unseal(self, value: bytes) -> bytes:
        try:
            return self._inbox.decrypt(value[:_NONCE], value[_NONCE:], None)
        except InvalidTag as error:
            raise LedgerError("the ledger's key does not fit this ledger") from error


class CaseKey:
    """The key and the salt of one case."""

    def __init__(self, raw: bytes, random: Callable[[int], bytes]) -> None:
        self._cipher = AESGCM(raw[:32])
        self._salt = raw[32:]
        self._random = random

    def encrypt(self, name: str, value: bytes) -> bytes:
        nonce = self._random(_NONCE)
        return nonce + self._cipher.encrypt(nonce, value, name.encode())

    def decrypt(self, name: str, value: bytes) -> bytes:
        return self._cipher.decrypt(value[:_NONCE], value[_NONCE:], name.encode())

    def digest(self, value: bytes) -> str:
        """A salted hash that a fact may hold: it proves the text while the salt exists, and nothing afterwards."""
        return hmac.new(self._salt, value, hashlib.sha256).hexdigest()


@lru_cache(maxsize=4096)
def short_key(key: str) -> str:
    """The form in which an effect's key goes to platforms: short, lower case, letters and digits only."""
    return "am" + b32encode(hashlib.sha256(key.encode()).digest()[:12]).decode().rstrip("=").lower()


def _derive(master: bytes, purpose: bytes) -> bytes:
    return hmac.new(master, b"amends:" + purpose, hashlib.sha256).digest()
