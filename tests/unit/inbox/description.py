"""The inbox as an OpenAPI description, written by hand: what the tests hold it to."""

from __future__ import annotations

from typing import Any

HTML = {"text/html": {"schema": {"type": "string"}}}
ERROR = {
    "application/json": {
        "schema": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
    }
}


def described(tokens: list[str], shop: str) -> dict[str, Any]:
    """The description, with links that are live."""
    page = {
        str(code): {"description": what, "content": HTML}
        for code, what in {
            200: "how things stand", 400: "no form", 404: "not our link", 408: "too slow", 409: "already answered",
            410: "expired, replaced or closed", 413: "too long", 415: "not a form", 422: "makes no sense", 429: "too often",
        }.items()
    }  # fmt: skip
    shown = {code: page[code] for code in ("200", "404", "410", "429")}
    answered = {code: page[code] for code in page if code != "200"} | {"303": {"description": "kept"}}
    hook = {
        str(code): {"description": what, "content": ERROR}
        for code, what in {
            401: "not signed",
            404: "no such shop",
            408: "too slow",
            413: "too long",
            400: "cut off",
        }.items()
    }
    token = {
        "name": "token",
        "in": "path",
        "required": True,
        "schema": {"anyOf": [{"enum": tokens}, {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,120}$"}]},
    }
    language = {"name": "lang", "in": "query", "schema": {"enum": ["zh", "en"]}}
    form = {
        "type": "object",
        "required": ["answer"],
        "properties": {
            "answer": {"enum": ["accept", "decline", "counter", "cancel"]},
            "sure": {"enum": ["yes"]},
            "date": {"type": "string", "format": "date"},
            "remedy": {"enum": ["", "store-credit", "refund"]},
            "words": {"type": "string", "maxLength": 1200},
        },
    }
    return {
        "openapi": "3.0.3",
        "info": {"title": "The inbox of amends", "version": "1"},
        "paths": {
            "/r/{token}": {
                "parameters": [token, language],
                "get": {"operationId": "look", "responses": shown},
                "post": {
                    "operationId": "answer",
                    "requestBody": {
                        "required": True,
                        "content": {"application/x-www-form-urlencoded": {"schema": form}},
                    },
                    "responses": answered,
                },
            },
            "/webhooks/{shop}": {
                "post": {
                    "operationId": "webhook",
                    "parameters": [
                        {
                            "name": "shop",
                            "in": "path",
                            "required": True,
                            "schema": {"anyOf": [{"enum": [shop]}, {"type": "string", "minLength": 1}]},
                        },
                        {"name": "webhook-id", "in": "header", "schema": {"type": "string"}},
                        {"name": "webhook-timestamp", "in": "header", "schema": {"type": "string"}},
                        {"name": "webhook-signature", "in": "header", "schema": {"type": "string"}},
                    ],
                    "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
                    "responses": hook | {"204": {"description": "kept"}},
                }
            },
            "/health": {
                "get": {
                    "operationId": "health",
                    "responses": {
                        "200": {
                            "description": "well",
                            "content": {
                                "application/json": {
                                    "schema": {
                                        "type": "object",
                                        "required": ["status", "ledger", "dispatcher"],
                                        "additionalProperties": {"enum": ["ok"]},
                                    }
                                }
                            },
                        }
                    },
                }
            },
        },
    }
