"""The ledger's tables. Times are integer microseconds since 1970 UTC; amounts integer minor units; bodies canonical JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

REVISION = "0002"
"""The newest migration; a ledger that names another is upgraded, or refused where it is newer."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

Time = BigInteger
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only as INTEGER

meta = Table("meta", metadata, Column("key", String, primary_key=True), Column("value", Text, nullable=False))

orders = Table(
    "orders",
    metadata,
    Column("shop", String, primary_key=True),
    Column("number", String, primary_key=True),
    Column("updated_at", Time),
    Column("observed_at", Time, nullable=False),
    Column("state", String, nullable=False),
    Column("risk_at", Time),
    Column("ship_by", Time),
    Column("placed_at", Time, nullable=False),
    Column("minor", BigInteger, nullable=False),
    Column("currency", String, nullable=False),
    Column("after_sales", String, nullable=False),
    Column("customer", String, nullable=False),
    Column("snapshot", Text, nullable=False),
    Index(
        "ix_orders_watched",
        "shop",
        "risk_at",
        sqlite_where=text("risk_at IS NOT NULL"),
        postgresql_where=text("risk_at IS NOT NULL"),
    ),
)

cases = Table(
    "cases",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("shop", String, nullable=False),
    Column("number", String, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("opened_at", Time, nullable=False),
    Column("stage", String, nullable=False),
    Column("outcome", String),
    Column("closed_at", Time),
    Column("closed_state", String),  # how late the order was when the case closed
    Column("due_at", Time),
    Column("why", Text, nullable=False, server_default=""),
    Column("next_step", String, nullable=False, server_default=""),
    Column("wake", Boolean, nullable=False, server_default=text("false")),
    Column("lease_owner", String),
    Column("lease_until", Time),
    Column("epoch", Integer, nullable=False, server_default="0"),
    Column("version", Integer, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("playbook", String, nullable=False),
    Column("policy", String, nullable=False),
    UniqueConstraint("shop", "number", "generation"),
    Index("ix_cases_due", "shop", "due_at", sqlite_where=text("due_at IS NOT NULL"), postgresql_where=text("due_at IS NOT NULL")),
    Index(
        "uq_cases_one_open", "shop", "number", unique=True,
        sqlite_where=text("outcome IS NULL"), postgresql_where=text("outcome IS NULL"),
    ),
    Index(
        "ix_cases_leased", "lease_owner",
        sqlite_where=text("lease_owner IS NOT NULL"), postgresql_where=text("lease_owner IS NOT NULL"),
    ),
)  # fmt: skip

facts = Table(
    "facts",
    metadata,
    Column("case_id", _ID, ForeignKey("cases.id"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("at", Time, nullable=False),
    Column("kind", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)

heads = Table(
    "heads",
    metadata,
    Column("case_id", _ID, ForeignKey("cases.id"), primary_key=True),
    Column("length", Integer, nullable=False),
    Column("head", LargeBinary, nullable=False),
    Column("mac", LargeBinary, nullable=False),
)

totals = Table(
    "totals",
    metadata,
    Column("bucket", Integer, primary_key=True),
    Column("cases", BigInteger, nullable=False),
    Column("facts", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("mac", LargeBinary, nullable=False),
)

case_keys = Table(
    "case_keys",
    metadata,
    Column("case_id", _ID, ForeignKey("cases.id"), primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
)

personal = Table(
    "personal",
    metadata,
    Column("case_id", _ID, ForeignKey("cases.id"), primary_key=True),
    Column("name", String, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

effects = Table(
    "effects",
    metadata,
    Column("key", String, primary_key=True),
    Column("case_id", _ID, ForeignKey("cases.id"), nullable=False),
    Column("shop", String, nullable=False),
    Column("number", String, nullable=False),
    Column("step", String, nullable=False),
    Column("round", Integer, nullable=False),
    Column("op", String, nullable=False),
    Column("kind", String, nullable=False),  # the journal's word: message, grant:coupon, complain …
    Column("via", String, nullable=False),
    Column("effect_class", String, nullable=False),
    Column("state", String, nullable=False),
    Column("request", Text, nullable=False),
    Column("request_hash", String, nullable=False),
    Column("minor", BigInteger),
    Column("currency", String),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("epoch", Integer, nullable=False),
    Column("planned_at", Time, nullable=False),
    Column("sent_at", Time),
    Column("first_sent_at", Time),
    Column("look_at", Time),
    Column("settled_at", Time),
    Column("ref", String, nullable=False, server_default=""),
    Column("error", Text, nullable=False, server_default=""),
    Index("ix_effects_case", "case_id"),
    Index(
        "ix_effects_unsettled", "shop", "state",
        sqlite_where=text("settled_at IS NULL"), postgresql_where=text("settled_at IS NULL"),
    ),
)  # fmt: skip

shop_leases = Table(
    "shop_leases",
    metadata,
    Column("shop", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("until", Time, nullable=False),
    Column("epoch", Integer, nullable=False),
)

cursors = Table(
    "cursors",
    metadata,
    Column("shop", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("value", Text, nullable=False),
    Column("at", Time, nullable=False),
)

inbox = Table(
    "inbox",
    metadata,
    Column("shop", String, primary_key=True),
    Column("event", String, primary_key=True),
    Column("number", String, nullable=False),
    Column("received_at", Time, nullable=False),
    Column(
        "body", LargeBinary, nullable=False
    ),  # encrypted with the ledger's key: it may hold a customer's words
    Column("applied_at", Time),
    Column("case_id", _ID),
    Index(
        "ix_inbox_waiting",
        "shop",
        "number",
        sqlite_where=text("applied_at IS NULL"),
        postgresql_where=text("applied_at IS NULL"),
    ),
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("case_id", _ID, ForeignKey("cases.id"), nullable=False),
    Column("shop", String, nullable=False),
    Column("number", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("effect", String, nullable=False, server_default=""),
    Column("place", Text, nullable=False, server_default=""),
    Column("limits", Text, nullable=False, server_default=""),
    Column("choices", String, nullable=False),
    Column("opened_at", Time, nullable=False),
    Column("due_at", Time, nullable=False),
    Column("done_at", Time),
    Column("outcome", String),
    Column("done_by", String),
    UniqueConstraint("effect", "kind", "case_id"),
    Index(
        "ix_tasks_open",
        "shop",
        "due_at",
        sqlite_where=text("done_at IS NULL"),
        postgresql_where=text("done_at IS NULL"),
    ),
)

approval_lists = Table(
    "approval_lists",
    metadata,
    Column("id", String, primary_key=True),
    Column("shop", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("created_at", Time, nullable=False),
    Column("expires_at", Time, nullable=False),
    Column("state", String, nullable=False),  # open | decided | expired | held
    Column("round", Integer, nullable=False, server_default="1"),  # how often its form has been put to people
    Column(
        "problem", Text, nullable=False, server_default=""
    ),  # why the last answer to the form did not count
)

approval_items = Table(
    "approval_items",
    metadata,
    Column("list_id", String, ForeignKey("approval_lists.id"), primary_key=True),
    Column("case_id", _ID, ForeignKey("cases.id"), primary_key=True),
    Column("what", String, primary_key=True),
    Column("minor", BigInteger),
    Column("currency", String),
    Column("version", Integer, nullable=False),
    Column("why", Text, nullable=False, server_default=""),
    Column("people", Integer, nullable=False, server_default="1"),
    Column("decision", String),  # approved | refused | stale
    Column("decided_by", String, nullable=False, server_default=""),
    Column("decided_at", Time),
    Column("used_at", Time),
    Index("ix_approval_items_case", "case_id"),
)

approval_codes = Table(
    "approval_codes",
    metadata,
    Column("list_id", String, ForeignKey("approval_lists.id"), primary_key=True),
    Column("person", String, primary_key=True),
    Column("number", Integer, nullable=False, server_default="0"),  # how many were made for them
    Column("hash", LargeBinary),  # of the newest one; none while they have only a code of their own
    Column("expires_at", Time, nullable=False, server_default="0"),
    Column("wrong", Integer, nullable=False, server_default="0"),  # guesses at the newest one
    Column("used_at", Time),
)

approval_notices = Table(
    "approval_notices",
    metadata,
    Column("list_id", String, ForeignKey("approval_lists.id"), primary_key=True),
    Column("person", String, primary_key=True),
    Column("kind", String, primary_key=True),  # asked | reminded | code | held
    Column("number", Integer, primary_key=True),
    Column("shop", String, nullable=False),
    Column("state", String, nullable=False),  # planned | sending | sent | unknown | failed | none | dropped
    Column("planned_at", Time, nullable=False),
    Column("at", Time),  # when it left, or should have
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("error", Text, nullable=False, server_default=""),
    Index(
        "ix_approval_notices_waiting", "shop",
        sqlite_where=text("state IN ('planned', 'failed')"), postgresql_where=text("state IN ('planned', 'failed')"),
    ),
)  # fmt: skip

budgets = Table(
    "budgets",
    metadata,
    Column("scope", String, primary_key=True),  # e.g. shop-day:flagship:2026-11-23
    Column("currency", String, primary_key=True),
    Column("taken", BigInteger, nullable=False),
)

budget_entries = Table(
    "budget_entries",
    metadata,
    Column("case_id", _ID, ForeignKey("cases.id"), primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("scope", String, primary_key=True),
    Column("currency", String, nullable=False),
    Column("minor", BigInteger, nullable=False),
    Column("released_at", Time),
)

holds = Table(
    "holds",
    metadata,
    Column("shop", String, primary_key=True),  # '' is every shop
    Column("step", String, primary_key=True),  # '' is every step
    Column("by", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", Time, nullable=False),
)

quotas = Table(
    "quotas",
    metadata,
    Column("connector", String, primary_key=True),
    Column("shop", String, primary_key=True),
    Column("next_slot", Time, nullable=False, server_default="0"),  # real time: nobody has reserved it yet
    Column("pause_until", Time, nullable=False, server_default="0"),  # Retry-After
    Column("pause_until_due", Time, nullable=False, server_default="0"),  # the same by the shop's clock
    Column("opened", Integer, nullable=False, server_default="0"),  # the breaker: how often in a row
    Column("open_until", Time, nullable=False, server_default="0"),
    Column("open_until_due", Time, nullable=False, server_default="0"),
)

versions = Table(
    "versions",
    metadata,
    Column("kind", String, primary_key=True),  # playbook | policy
    Column("version", String, primary_key=True),
    Column("body", Text, nullable=False),
)

sweeps = Table(
    "sweeps",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("shop", String, nullable=False),
    Column("started_at", Time, nullable=False),
    Column("ended_at", Time),
    Column("counts", Text, nullable=False, server_default="{}"),
    Index("ix_sweeps_shop", "shop", "started_at"),
)


def ticks(at: datetime) -> int:
    """Microseconds since 1970 UTC of an aware time."""
    return (at - _EPOCH) // _TICK


@lru_cache(maxsize=1024)
def moment(value: int) -> datetime:
    """The aware UTC time of such a number. What a batch wrote has few of them."""
    return _EPOCH + timedelta(microseconds=value)


def maybe_ticks(at: datetime | None) -> int | None:
    return None if at is None else ticks(at)


def maybe_moment(value: int | None) -> datetime | None:
    return None if value is None else moment(value)
