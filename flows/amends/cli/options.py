"""Options that several commands share, and the few words that they accept."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer

FIRST = "First steps"
DAILY = "Every day"
PEOPLE = "People's work"
PROOF = "Evidence"
HOUSE = "The installation"


class Answer(StrEnum):
    """A customer's answers; a test keeps them the same as the domain's, whose import would cost time."""

    ACCEPT = "accept"
    DECLINE = "decline"
    COUNTER = "counter"
    CANCEL = "cancel"


class Step(StrEnum):
    """The five steps; a test keeps them the same as the domain's."""

    VERIFY = "verify-order"
    CONTACT = "contact-customer"
    SETTLE = "settle"
    COMPLAIN = "file-complaint"
    ESCALATE = "escalate"


def _me() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no name for this user id, as in some containers
        return f"uid-{os.getuid()}" if hasattr(os, "getuid") else "somebody"


Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ShopName = Annotated[str | None, typer.Option("--shop", metavar="NAME", help="Only this shop.")]
Now = Annotated[
    str | None,
    typer.Option(
        "--now",
        metavar="TIME",
        help="Instead of the machine's time; ISO 8601. Without an offset: the shop's zone, or UTC.",
    ),
]
By = Annotated[
    str,
    typer.Option(
        "--by",
        metavar="NAME",
        envvar="AMENDS_BY",
        default_factory=_me,
        help="Who does this.",
        show_default="AMENDS_BY, or your login name",
        show_envvar=False,
    ),
]
Approver = Annotated[
    str, typer.Option("--as", "--by", metavar="NAME", help="Who decides: an approver named in config.")
]
Code = Annotated[
    str,
    typer.Option(
        "--code",
        metavar="CODE",
        envvar="AMENDS_CODE",
        help="The code that reached the approver for this list, good once; or AMENDS_CODE.",
        show_envvar=False,
    ),
]
CaseName = Annotated[str, typer.Argument(metavar="CASE", help="The case's number, or its order's.")]
