"""What /api/openapi.json says of the paths that stand beside FastAPI's own routing.

They read raw bytes, so no model describes them; this does. Knows no behaviour.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Final, TypeAlias

from fastapi import FastAPI
from typing_extensions import override

from conversion_relay.core.values import Json, JsonObject
from conversion_relay.service.http.tracking.endpoint import BATCHES, FIGURES, PATH, TYPES
from conversion_relay.service.store.port import Disposition

_Paths: TypeAlias = Mapping[str, JsonObject]
_EVENT: Final[JsonObject] = {
    "type": "object",
    "description": "a Segment event",
    "required": ["type"],
    "properties": {
        "type": {"type": "string", "examples": ["track"]},
        "event": {"type": "string"},
        "messageId": {"type": "string", "maxLength": 100},
        "userId": {"type": "string"},
        "anonymousId": {"type": "string"},
        "timestamp": {"type": "string", "format": "date-time"},
        "sentAt": {"type": "string", "format": "date-time"},
        "context": {"type": "object"},
        "properties": {"type": "object"},
        "traits": {"type": "object"},
        "integrations": {"type": "object"},
    },
}
_BARE_EVENT: Final[JsonObject] = {key: _EVENT[key] for key in _EVENT if key != "required"}
_EVENTS: Final[JsonObject] = {"type": "array", "items": _EVENT}
_BATCH: Final[JsonObject] = {
    "type": "object",
    "required": ["batch"],
    "properties": {
        "batch": _EVENTS,
        "writeKey": {"type": "string"},
        "context": {"type": "object"},
        "integrations": {"type": "object"},
        "sentAt": {"type": "string", "format": "date-time"},
        "timestamp": {"type": "string", "format": "date-time"},
        "userId": {"type": "string"},
        "anonymousId": {"type": "string"},
    },
}
_COUNTS: Final = ("accepted", "duplicates", *(one.value for one in Disposition))
_KEPT: Final[JsonObject] = {
    "type": "object",
    "required": ["success", *_COUNTS],
    "properties": {"success": {"const": True}, **{name: {"type": "integer"} for name in _COUNTS}},
}
_SUCCESS: Final[JsonObject] = {
    "type": "object",
    "required": ["success"],
    "properties": {"success": {"const": True}},
}
_PROBLEM_MEMBERS: Final[JsonObject] = {
    "type": {"type": "string"},
    "title": {"type": "string"},
    "status": {"type": "integer"},
    "detail": {"type": "string"},
}
_WEBHOOK_REFUSALS: Final = (400, 401, 404, 408, 413, 415, 429, 500, 503)
_TRACKING_REFUSALS: Final = (400, 401, 404, 408, 415, 429, 500, 503)
_SCHEMES: Final[JsonObject] = {
    "WriteKey": {"type": "http", "scheme": "basic", "description": "a write key as user name"},
    "BearerToken": {"type": "http", "scheme": "bearer", "description": "a source's bearer token"},
    "Signature": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Signature",
        "description": "hexadecimal HMAC-SHA1 of the body with a signing secret of the source",
    },
    "AdminToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "RELAY_ADMIN_TOKEN (operate): everything under / and /api",
    },
    "ReadToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "RELAY_READ_TOKEN (read): what changes nothing and holds no personal data",
    },
}
_ADMIN: Final[Json] = {"AdminToken": []}
_READ: Final[Json] = {"ReadToken": []}
_CLOSED: Final = ("401", "403", "413", "429")


_PROBLEM: Final[JsonObject] = {
    "description": "a problem document (RFC 9457)",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_ANY_PROBLEM: Final[JsonObject] = {"422": _PROBLEM, "default": _PROBLEM}


class DescribedApplication(FastAPI):
    """FastAPI, with the other paths in its description."""

    @override
    def openapi(self) -> dict[str, object]:
        """The description of every path."""
        document: dict[str, object] = super().openapi()
        paths, components = document["paths"], document.setdefault("components", {})
        if isinstance(paths, dict) and isinstance(components, dict):
            for operation in _operations(paths):
                operation.get("responses", {}).update(_ANY_PROBLEM)
            _close(paths)
            paths.update(_raw_paths())
            components.setdefault("securitySchemes", {}).update(_SCHEMES)
            components.setdefault("schemas", {}).update(_schemas())
        return document


def _operations(paths: Mapping[str, dict[str, object]]) -> Iterator[dict[str, JsonObject]]:
    """Those of FastAPI, which says of refusals what they were without ours."""
    for item in paths.values():
        for operation in item.values():
            if isinstance(operation, dict):
                yield operation


def _close(paths: Mapping[str, dict[str, object]]) -> None:
    """Says of the admin paths which tokens open them, and how else they answer."""
    for path, item in paths.items():
        if path != "/" and not path.startswith("/api/"):
            continue
        for method, operation in item.items():
            if isinstance(operation, dict):
                operation["security"] = [_READ, _ADMIN] if method == "get" else [_ADMIN]
                operation["responses"].update(dict.fromkeys(_CLOSED, _PROBLEM))


def _schemas() -> JsonObject:
    told: JsonObject = {"code": {"type": "string"}, "message": {"type": "string"}}
    return {
        "Problem": _problem(_PROBLEM_MEMBERS),
        "TrackingProblem": _problem({**_PROBLEM_MEMBERS, **told}),
    }


def _problem(properties: JsonObject) -> JsonObject:
    return {"type": "object", "required": [*properties], "properties": properties}


def _raw_paths() -> _Paths:
    words = [call for call in (*TYPES, *sorted(BATCHES)) if len(call) > 1]
    letters: list[Json] = [call for call in TYPES if len(call) == 1]
    return {
        "/webhook/{source}": _webhook(),
        **{PATH.format(call=call): {"post": _tracking(call)} for call in words},
        "/v1/{letter}": {
            "parameters": [_parameter("letter", {"enum": [*letters, "b", FIGURES]})],
            "post": _tracking("letter")
            | {"summary": "What analytics.js calls: t p i s g a, b for a batch, m for figures"},
        },
    }


def _parameter(name: str, schema: JsonObject) -> JsonObject:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", **schema}}


def _webhook() -> JsonObject:
    security: list[Json] = [{"Signature": []}, {"BearerToken": []}]
    one: JsonObject = {
        "summary": "Segment's Webhooks destination: one event, or a list of them",
        "security": security,
        "requestBody": _body({"oneOf": [_EVENT, _EVENTS]}, "application/json"),
        "responses": _answers(_KEPT, _WEBHOOK_REFUSALS, "Problem"),
    }
    methods = ("post", "put", "patch")
    operations: JsonObject = {
        method: {**one, "operationId": f"webhook_{method}"} for method in methods
    }
    return {"parameters": [_parameter("source", {"maxLength": 64})], **operations}


def _tracking(call: str) -> JsonObject:
    in_batch = call in BATCHES
    schema = _BATCH if in_batch else {} if call == "letter" else _BARE_EVENT
    security: list[Json] = [{"WriteKey": []}, {}]
    return {
        "operationId": f"tracking_{call}",
        "summary": f"Segment's {call} call; the write key may stand in the body instead",
        "security": security,
        "requestBody": _body(schema, "application/json", "text/plain"),
        "responses": _answers(_SUCCESS, _TRACKING_REFUSALS, "TrackingProblem"),
    }


def _body(schema: JsonObject, *media_types: str) -> JsonObject:
    return {"required": True, "content": {kind: {"schema": schema} for kind in media_types}}


def _answers(kept: JsonObject, refusals: Iterable[int], problem: str) -> JsonObject:
    reference: JsonObject = {"schema": {"$ref": f"#/components/schemas/{problem}"}}
    refused: JsonObject = {
        str(status): {
            "description": HTTPStatus(status).phrase,
            "content": {"application/problem+json": reference},
        }
        for status in refusals
    }
    done: JsonObject = {
        "description": "The events are on the disk",
        "content": {"application/json": {"schema": kept}},
    }
    return {"200": done, **refused}
