"""Signs the links under which customers answer, and reads them back: opaque ids only, nothing personal, no order number.

Whether a link may still be used is the ledger's to say: a signature proves only that we made it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from itsdangerous import BadData, TimestampSigner, URLSafeTimedSerializer

from amends.cases.snapshot import Round, Snapshot
from amends.ledger import Vault
from amends.settings import Inbox

LONGEST = timedelta(days=400)
"""After this no link counts, whatever the ledger says."""
_TOKEN = re.compile(r"[A-Za-z0-9._-]{1,200}")
"""What a token is made of; ours have about 70 letters. Base64 itself reads `+` as `-`, and passes over other characters."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a link stands for: one round of one generation of one case."""

    case: int
    generation: int
    round: int

    @property
    def event(self) -> str:
        """The id of its answer in the inbox: the same each time, so that twice is once."""
        return f"page:{self.case}:{self.round}"


class Links:
    """Makes and reads the tokens of one ledger."""

    def __init__(self, vault: Vault) -> None:
        self._key = vault.key_for("reply-links")

    def token(self, ticket: Ticket, now: datetime) -> str:
        """The signed token: letters, digits, `-`, `_` and `.`."""
        return str(self._serializer(now).dumps([ticket.case, ticket.generation, ticket.round]))

    def read(self, token: str, now: datetime) -> Ticket | None:
        """The ticket of a token; None where we did not sign it, or longer ago than any offer lasts."""
        if not _TOKEN.fullmatch(token):
            return None
        try:
            found = self._serializer(now).loads(token, max_age=int(LONGEST.total_seconds()))
        except BadData:
            return None
        if not isinstance(found, list) or len(found) != 3 or not all(type(part) is int for part in found):
            return None
        return Ticket(*found)

    def _serializer(self, now: datetime) -> Any:
        options = {"key_derivation": "hmac", "digest_method": hashlib.sha256, "now": now}
        return URLSafeTimedSerializer(
            self._key, salt="amends.reply-link", signer=_Dated, signer_kwargs=options
        )


def reply_url(inbox: Inbox, vault: Vault, case: Snapshot, round_: Round, now: datetime) -> str:
    """Where the customer answers this round's offer; empty without a public address, or where no answer is asked."""
    if not inbox.public_url or round_.offer.reply_by is None or round_.offer.agreed:
        return ""
    ticket = Ticket(case.case, case.generation, round_.number)
    return f"{inbox.public_url}/r/{Links(vault).token(ticket, now)}"


class _Dated(TimestampSigner):
    """Signs with the time of the case's own clock, which a demo may have moved."""

    def __init__(self, *args: Any, now: datetime, **options: Any) -> None:
        super().__init__(*args, **options)
        self._now = now

    def get_timestamp(self) -> int:
        return int(self._now.timestamp())

    def timestamp_to_datetime(self, ts: int) -> datetime:
        return datetime.fromtimestamp(ts, UTC)
