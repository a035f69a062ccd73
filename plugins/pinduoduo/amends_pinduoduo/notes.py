"""Our visible trace in the merchant's back office: one line of ours inside the order's note (商家备注).

The platform has one note per order and replaces it whole. What people wrote stays; our line is exchanged in
its place, so that the note does not grow, and doing it again changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from amends import Receipt
from amends_pinduoduo.fields import number
from amends_pinduoduo.router import Router

_OURS = re.compile(r"\s*【amends [^】]*】")
LONGEST = 80
"""How long our line may be: the note's own limit is not published, and most of it belongs to the merchant."""


def line(key: str, text: str) -> str:
    """Our line: the effect's key, so that it can be told from others, and a few words for people, cut to fit."""
    words = " ".join(re.sub(r"[【】]", " ", text).split())
    room = LONGEST - len(f"【amends {key} 】")
    return f"【amends {key} {words if len(words) <= room else words[: room - 1] + '…'}】"


def with_line(note: str, ours: str) -> str:
    """The note with our line in place of an earlier one, people's words untouched."""
    theirs = _OURS.sub("", note).rstrip()
    return f"{theirs} {ours}" if theirs else ours


async def write(router: Router, row: Mapping[str, Any], key: str, text: str) -> Receipt:
    """Put the line into the note of the order whose detail is `row`.

    The platform replaces the note whole: a person's edit between our reading and writing is lost.
    """
    number_ = str(row["order_sn"])
    old = str(row.get("remark") or "")
    new = with_line(old, line(key, text))
    if new != old:
        # The coloured mark is sent back as it is: its number and name go together or not at all.
        tag, name = number(row, "remark_tag", f"order {number_}"), str(row.get("remark_tag_name") or "")
        mark: dict[str, Any] = {"tag": tag, "tag_name": name} if tag and name else {}
        await router.call("pdd.order.note.update", "response", order_sn=number_, note=new, **mark)
    return Receipt(ref=key)
