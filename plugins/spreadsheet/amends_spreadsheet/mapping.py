"""What an export's columns and words mean: a `Mapping`, a merchant's own in TOML or a preset."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from amends import AfterSales, InputError, Money, OrderStatus, Tag

Column = Literal[
    "number", "amount", "currency", "placed_at", "paid_at", "updated_at", "ship_by", "agreed_ship_by",
    "deliver_by", "shipped_at", "picked_up_at", "delivered_at", "cancelled_at", "status", "payment",
    "after_sales", "carrier", "tracking_number", "warehouse", "customer", "sku", "title", "quantity",
]  # fmt: skip
"""Our names of what a column can hold.

Names, telephone numbers and addresses of people are not among them.
"""

COLUMNS: tuple[str, ...] = get_args(Column)
PRESETS = ("pinduoduo", "shopify", "taobao", "woocommerce")
YES = ("是", "yes", "y", "true", "1", "√")


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_several), Field(min_length=1)]


class Mapping(BaseModel):
    """How to read one kind of export, for merchants.

    Header names and words match whatever their case, spaces and width (a full-width bracket is a bracket). A
    column named here must be in the file unless `optional` lists it: a mistyped "ship date" must not make
    every order look unshipped. Needed are `number`, `amount`, one of `placed_at` and `paid_at`, and a
    currency (fixed or a column).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: dict[Column, Names] = Field(
        description="Our name → the header names that it may have, best first."
    )
    optional: tuple[Column | Literal["flags"], ...] = Field(
        default=(), description="Columns that an export may lack."
    )
    platform: str = Field(default="", description="The rule set to judge by, such as `pdd`.")
    date_formats: Names = Field(
        default=("iso",),
        description="`iso`, `excel` (serial numbers as text) or patterns such as `%m/%d/%Y %H:%M`.",
    )
    time_zone: str = Field(default="", description="The IANA zone of times that name none.")
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ",", ".", "'", "’", " "] | None = Field(
        default=None, description="Absent: a comma, or a point where the decimal sign is a comma."
    )
    round_amounts: bool = Field(
        default=False, description="Round 314.6400146 to a minor unit instead of refusing it."
    )
    currency: str = Field(
        default="", description="The ISO 4217 code of amounts without a currency of their own."
    )
    status: dict[str, OrderStatus] = Field(
        default={}, description='The export\'s word → ours. `"*"`: any other word.'
    )
    payment: dict[str, Literal["paid", "unpaid", "cancelled"]] = {}
    after_sales: dict[str, AfterSales] = {}
    flags: dict[Tag, Names] = Field(default={}, description="Our tag → columns that say yes or no.")
    encoding: str = Field(default="auto", description="`auto`: a BOM, else UTF-8, else GB18030.")
    delimiter: Literal["auto", ",", ";", "\t", "|"] = "auto"
    sheet: str = Field(default="", description="Absent: the first sheet that has the columns.")
    header_row: Literal["auto"] | PositiveInt = Field(
        default="auto",
        description="`auto`: the first of 20 rows that has the columns, so title rows may come before.",
    )
    lines: Literal["one", "blank", "repeated"] = Field(
        default="one",
        description="Orders of several rows: none (a repeated number is a duplicate), further rows leave the "
        "order's columns blank (Shopify), or further rows repeat them.",
    )
    promise_hours: PositiveInt | None = Field(
        default=None, description="Ship-by is so many hours after payment where the export gives none."
    )
    ship_date: Literal["picked-up", "label"] = Field(
        default="picked-up",
        description="What the export's ship date says. An export shows no pick-up of its own, so by default "
        "its ship date stands for it. `label`: it does not; orders count as unshipped until one is seen.",
    )

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value:
            try:
                ZoneInfo(value)
            except (KeyError, ValueError, OSError):
                raise ValueError(f"{value!r} is not an IANA time zone such as Asia/Shanghai") from None
        return value

    @field_validator("currency")
    @classmethod
    def _known_currency(cls, value: str) -> str:
        if value:
            Money.zero(value)
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        if value != "auto":
            try:
                "".encode(value)
            except LookupError:
                raise ValueError(
                    f"{value!r} is no encoding that Python knows, such as utf-8 or gb18030"
                ) from None
        return value

    @model_validator(mode="after")
    def _complete(self) -> Mapping:
        for name in ("number", "amount"):
            if name not in self.columns:
                raise ValueError(f"columns: `{name}` is missing")
        if "placed_at" not in self.columns and "paid_at" not in self.columns:
            raise ValueError("columns: `placed_at` (or `paid_at`) is missing")
        if not self.currency and "currency" not in self.columns:
            raise ValueError("say `currency`, or name its column in `columns.currency`")
        if self.thousands_sign == self.decimal:
            raise ValueError(f"`decimal` and `thousands` are both {self.decimal!r}")
        return self

    @property
    def thousands_sign(self) -> str:
        if self.thousands is not None:
            return self.thousands
        return "," if self.decimal == "." else "."

    def needs(self, column: str) -> bool:
        """Whether a file without that column cannot be read."""
        if column in ("number", "amount"):
            return True
        return column in self.columns and column not in self.optional


def preset(name: str) -> Mapping:
    """The mapping shipped under that name (`pinduoduo`, `taobao`, `shopify`, `woocommerce`); raises
    `InputError`.
    """
    return _validated(_preset_table(name), f"preset {name}")


def load_mapping(path: Path | str) -> Mapping:
    """A merchant's mapping from a TOML file; `preset = "shopify"` in it starts from that preset.

    Raises `InputError`.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such mapping file", hint="Check the path given as --mapping.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: not TOML: {error}", hint="Write strings in quotes; see the presets."
        ) from error
    base = table.pop("preset", "")
    if base:
        table = _over(_preset_table(base), table)
    return _validated(table, str(path))


def near(word: str, words: Iterable[str]) -> str:
    """`; did you mean …?` where a known word comes close, else nothing."""
    found = difflib.get_close_matches(word, list(words), n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(one) for one in found)}?" if found else ""


def _preset_table(name: str) -> dict[str, Any]:
    if name not in PRESETS:
        hint = f"There are {', '.join(PRESETS)}; or write a mapping of your own."
        raise InputError(f"no preset {name!r}{near(str(name), PRESETS)}", hint=hint)
    return tomllib.loads((files(__package__) / "presets" / f"{name}.toml").read_text(encoding="utf-8"))


def _over(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """`own` laid over `base`; a column that the merchant names is no longer optional."""
    merged = {**base, **own}
    for key, value in base.items():
        if isinstance(value, dict) and isinstance(own.get(key), dict):
            merged[key] = {**value, **own[key]}
    if "optional" not in own and isinstance(own.get("columns"), dict):
        merged["optional"] = [name for name in base.get("optional", ()) if name not in own["columns"]]
    return merged


def _validated(table: dict[str, Any], where: str) -> Mapping:
    try:
        return Mapping.model_validate(table)
    except ValidationError as error:
        raise InputError(
            f"{where}: {_explain(error)}", hint="Correct the named key of the mapping."
        ) from None


def _explain(error: ValidationError) -> str:
    lines = []
    for one in error.errors(include_url=False, include_context=False):
        path = [str(part) for part in one["loc"]]
        key = ".".join(part for part in path if part != "[key]") or "mapping"
        if one["type"] == "extra_forbidden":
            lines.append(f"unknown key {key!r}{near(path[-1], Mapping.model_fields)}")
        elif path[:1] == ["columns"] and path[-1] == "[key]":
            lines.append(
                f"unknown column {path[1]!r} in [columns]{near(path[1], COLUMNS)}; "
                f"there are {', '.join(COLUMNS)}"
            )
        else:
            lines.append(f"{key}: {one['msg'].removeprefix('Value error, ')}")
    return "; ".join(dict.fromkeys(lines))
