"""Writes a message as a mail: plain text, its headers safe, its Message-ID the effect's key."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

from amends import Message
from amends_mail.config import MailConfig

# Every server takes seven bits; eight need an extension.
_POLICY = SMTP.clone(cte_type="7bit")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


def message_id(key: str, domain: str) -> str:
    """The same for every attempt of one act; mailboxes that drop doubles do so by it."""
    if not _KEY.fullmatch(key):
        key = hashlib.sha256(key.encode()).hexdigest()[:32]
    return f"<{key}@{domain}>"


def compose(request: Message, to: str, *, config: MailConfig, now: datetime) -> EmailMessage:
    """The finished mail. `to` must have come from `ascii_address`. Raises `ValueError` for unwritable text."""
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = Address(config.sender_name, addr_spec=config.sender)
    mail["To"] = to
    if config.reply_to:
        mail["Reply-To"] = config.reply_to
    mail["Subject"] = one_line(request.subject) or one_line(request.order)
    mail["Date"] = now
    mail["Message-ID"] = message_id(request.key, config.domain)
    # Absence notices must not answer; people do all the same.
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(request.text)
    if re.fullmatch(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", request.language):
        mail["Content-Language"] = request.language
    return mail


def one_line(text: str) -> str:
    """Without line breaks and control characters: what is left cannot begin another header."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
