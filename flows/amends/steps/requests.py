"""Requests as they are stored and as they are sent: the texts apart and encrypted, the rest as canonical JSON.

A resend uses the stored request, never one worked out anew.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from amends.cases.orders import Personal
from amends.errors import CaseError
from amends.hooks.requests import AnyRequest, Extension, File, Filing, Grant, Message, Note
from amends.ledger.effects import Effect
from amends.ledger.vault import short_key

_MODELS: dict[str, type[AnyRequest]] = {
    "message": Message, "grant": Grant, "extend": Extension, "complain": Filing, "respond": Filing, "arbitrate": Filing,
    "note": Note,
}  # fmt: skip
_CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))
_APART = ("text", "subject", "parameters", "reply_url")


def text_name(key: str) -> str:
    """Under which name the texts of an effect are kept with its case's personal values."""
    return f"request:{key}"


def split(request: AnyRequest) -> tuple[str, dict[str, bytes]]:
    """The stored request, and the texts and files to be kept apart: by name, for the effect's own key."""
    names = () if isinstance(request, Note) else _APART  # a note holds nobody's words
    public = request.model_dump(
        mode="json", exclude={*names, "personal", "files", "key"}, exclude_defaults=True
    )
    public["op"] = request.op
    apart: dict[str, Any] = {name: value for name in names if (value := getattr(request, name, None))}
    if isinstance(request, Filing):
        public["files"] = [
            {"name": file.name, "media_type": file.media_type, "sha256": file.sha256}
            for file in request.files
        ]
        apart["files"] = [b64encode(file.content).decode() for file in request.files]
    return _CANONICAL.encode(public), {"texts": _CANONICAL.encode(apart).encode()} if apart else {}


def request_of(effect: Effect) -> AnyRequest | None:
    """The public part of a stored request; None for acts that no plugin does (legal, call, ruling)."""
    return _public(effect.op, effect.request, effect.key)


@lru_cache(maxsize=4096)
def _public(op: str, request: str, key: str) -> AnyRequest | None:
    model = _MODELS.get(op)
    if model is None:
        return None
    values = json.loads(request)
    values.pop("files", None)
    if model in (Message, Filing):
        values["text"] = ""
    return model.model_validate({**values, "key": short_key(key)})


def restore(effect: Effect, kept: Mapping[str, bytes]) -> AnyRequest:
    """The request exactly as it was planned; raises `CaseError` where its texts were erased."""
    model = _MODELS[effect.op]
    values: dict[str, Any] = {**json.loads(effect.request), "key": short_key(effect.key)}
    apart: dict[str, Any] = {}
    text = kept.get(text_name(effect.key))
    if text is not None:
        apart = json.loads(text)
    elif model in (Message, Filing):
        raise CaseError(f"the text of {effect.key} was erased: it cannot be sent any more")
    described = values.pop("files", [])
    contents = apart.pop("files", [])
    if model is Filing:
        values["files"] = tuple(
            File(**file, content=b64decode(content))
            for file, content in zip(described, contents, strict=True)
        )
    who = kept.get("personal")
    personal = Personal.model_validate_json(who) if who else None
    return model.model_validate({**values, **apart, "personal": personal})
