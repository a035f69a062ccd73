"""What the sandbox's connector declares: each effect class occurs once, so that a demo exercises them all."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from amends.hooks.specs import Operation

QUIET = timedelta(minutes=5)

OPERATIONS: Mapping[str, Operation] = {
    "changed_orders": Operation.read(),
    "order": Operation.read(),
    "tracking": Operation.read(),
    "replies": Operation.read(),
    "find": Operation.read(),
    "verify_webhook": Operation.read(),
    "ruling": Operation.read(),
    "message": Operation.queryable(quiet=QUIET),
    "grant": Operation.idempotent(window=timedelta(days=30)),
    "grant:refund": Operation.queryable(quiet=QUIET, reviewed=True),
    "extend": Operation.blind(),
    "note": Operation.idempotent(window=timedelta(days=30)),
    "complain": Operation.by_hand("Sandbox back office › Complaints › New", limits="one complaint per order"),
    "respond": Operation.queryable(quiet=QUIET),
    "arbitrate": Operation.idempotent(window=timedelta(days=30)),
}
