"""From the bytes of a request to its events, or to TikTok's refusal. All or nothing.

Knows neither tokens, nor time, nor what was received before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

import orjson

from conversion_relay.sandbox.answers import Answer, Code, Json, invalid
from conversion_relay.sandbox.checks import NOT_A_LIST, Problem
from conversion_relay.sandbox.schema import ENVELOPE, EVENT_BY_SOURCE, MAX_EVENTS

NOT_JSON_TYPE: Final = Answer(Code.INVALID_VALUE, "Content-Type must be application/json.")
NOT_JSON: Final = Answer(Code.INVALID_VALUE, "Request body is not a valid JSON object.")
BATCH_SIZE: Final = Answer(Code.BATCH_SIZE, f"data must have 1 to {MAX_EVENTS} events.")


@dataclass(frozen=True, slots=True)
class Batch:
    """A request without fault; `events` are the elements of `data`, as parsed."""

    event_source_id: str
    events: tuple[dict[str, Json], ...]


def parse(raw: bytes) -> Json:
    """The JSON value of the bytes; None if they are none (null is refused just the same)."""
    try:
        return cast("Json", orjson.loads(raw))
    except orjson.JSONDecodeError:
        return None


def is_json_type(content_type: str) -> bool:
    """Whether the header announces JSON, with or without a charset."""
    return content_type.partition(";")[0].strip().lower() == "application/json"


def validate(body: Json) -> Batch | Answer:
    """The batch, or the refusal that names the first thing wrong.

    Source: business-api.tiktok.com, "Report App, Web, Offline, or CRM Events" (read 2026-11-21).
    """
    if type(body) is not dict:
        return NOT_JSON
    problem = ENVELOPE(body)
    if problem:
        return _refusal(problem)
    data = body["data"]
    if type(data) is not list:
        return _refusal(NOT_A_LIST.under("data"))
    if not 1 <= len(data) <= MAX_EVENTS:
        return BATCH_SIZE
    problem = _first_bad_event(str(body["event_source"]), data)
    if problem:
        return _refusal(problem)
    events = tuple(event for event in data if isinstance(event, dict))
    return Batch(event_source_id=str(body["event_source_id"]), events=events)


def _first_bad_event(event_source: str, data: list[Json]) -> Problem | None:
    check = EVENT_BY_SOURCE[event_source]
    for index, event in enumerate(data):
        problem = check(event)
        if problem:
            return problem.under(index).under("data")
    return None


def _refusal(problem: Problem) -> Answer:
    return invalid(problem.place, problem.sentence, problem.code)
