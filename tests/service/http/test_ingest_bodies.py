"""Whatever a body holds: one bad event costs no other, and nothing is a fault.

The endpoint stands alone here, with a toy destination and a store in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import httpx
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Message, Scope

from conversion_relay.core.values import Json
from conversion_relay.errors import StoreBusy, StoreError, StoreUnavailable
from conversion_relay.service.app import now
from conversion_relay.service.http.edge.body import BodyLimits
from conversion_relay.service.http.erasure import Erasure
from conversion_relay.service.http.ingest import Webhook
from conversion_relay.service.http.intake import IngestLimits, Intake
from conversion_relay.service.http.signature import Credentials
from conversion_relay.service.http.sources import Source, Sources
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.store.port import NewEvent, Receipt, Store
from support.events import signature
from support.lines import Lines
from support.toy import hello, target


@dataclass(slots=True)
class OneAnswer:
    """A store that answers every append alike: with an error, or that all is new."""

    error: StoreError | None = None
    room: int = 1_000
    kept: list[NewEvent] = field(default_factory=list)

    async def append(self, events: Sequence[NewEvent]) -> Receipt:
        """Keeps the events in memory, or fails."""
        if self.error is not None:
            raise self.error
        self.kept.extend(events)
        return Receipt((True,) * len(events))

    def has_room(self, events: int, size_bytes: int) -> bool:
        """Whether so many may come."""
        return events <= self.room and size_bytes > 0


def _toy(store: OneAnswer, log: Lines) -> Webhook:
    """An endpoint of its own, with the toy destination behind it."""
    everyone = Credentials(open_to_all=True)
    closed = Credentials((b"secret",), (b"token",))
    intake = Intake(
        sources=Sources.of(
            Source(name, one, (target(),))
            for name, one in (("open", everyone), ("closed", closed))
        ),
        store=cast("Store", store),
        limits=IngestLimits(BodyLimits(100_000, 5.0), 10_000, 100),
        clock=now,
        arrived=lambda: None,
        metrics=Metrics(),
        log=log,
    )
    return Webhook(intake, Erasure(intake.store, now, intake.metrics, log))


async def _post_to_toy(store: OneAnswer, body: Json | bytes) -> tuple[httpx.Response, Lines]:
    log = Lines()
    application = Starlette(routes=[Route("/{source}", _toy(store, log), methods=["POST"])])
    transport = httpx.ASGITransport(app=application)
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    async with httpx.AsyncClient(transport=transport, base_url="http://toy") as client:
        return await client.post("/open", content=content), log


_DEEP = b"[" * 1100 + b"]" * 1100


@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        (b'{"type": "track", "properties": %b}' % _DEEP, "nested too deeply"),
        (b'{"type": "track", "messageId": %b}' % (b"7" * 5000), "too many digits"),
        (b'{"type": "track", "properties": {"a": NaN}}', "a number that JSON does not have"),
        (b'{"type": "track", "properties": {"a": "\xff"}}', "not UTF-8"),
        (b'{"type": "track", "properties": "%b"}' % (b"x" * 10_000), "larger than 10000 bytes"),
    ],
)
async def test_one_poisoned_event_costs_no_other(poison: bytes, reason: str) -> None:
    store = OneAnswer()
    batch = b"[%b, %b, %b]" % (orjson.dumps(hello().payload), poison, orjson.dumps(GUEST))
    answer, _ = await _post_to_toy(store, batch)
    assert answer.json() | {"accepted": 3, "planned": 2, "quarantined": 1} == answer.json()
    kept = store.kept[1]
    assert kept.original == poison
    assert kept.reason is not None
    assert reason in kept.reason


GUEST = hello("Grace", "m-2").payload


@pytest.mark.parametrize("depth", [100, 480, 700, 900])
async def test_a_cut_emoji_at_any_depth_is_no_fault(depth: int) -> None:
    deep = b"[" * depth + b'"\\ud83d"' + b"]" * depth
    event = b'{"type": "track", "properties": {"a": %b}}' % deep
    answer, _ = await _post_to_toy(OneAnswer(), b"[" + event + b"]")
    assert answer.json()["accepted"] == 1


async def test_what_there_is_no_room_for_is_not_even_planned() -> None:
    store = OneAnswer(room=1)
    batch: Json = [hello("explosive", "m-1").payload, GUEST]
    answer, log = await _post_to_toy(store, batch)
    assert "wait for" in _refusal(answer, "busy")
    assert log.events == ["webhook.refused"], "planning the first would have left a line"
    assert (await _post_to_toy(store, GUEST))[0].status_code == 200


_ORDINARY = [orjson.dumps(hello(name, "m").payload) for name in ("Ada", "nobody", "explosive")]
_PIECES = st.sampled_from(
    [
        *_ORDINARY,
        *(b"[", b"]", b"{", b"}", b",", b":", b'"', b"null", b" ", b"-", b"NaN", b"1e999"),
        *(b"\\", b"\\ud83d", b"\xff", b"\x00", b"\xef\xbb\xbf", b"7" * 5000),
        *(b"[" * 1100, b"]" * 1100, b"[" * 490, b"]" * 490),
        *(b'{"type":"track","messageId":', b'"type":"track"'),
    ]
)
_BODIES = st.one_of(
    st.binary(max_size=200),
    st.lists(_PIECES, max_size=12).map(b"".join),
    st.lists(_PIECES, max_size=5).map(lambda pieces: b"[" + b",".join(pieces) + b"]"),
    st.builds(
        lambda body, at, put: body[: at % len(body)] + put + body[at % len(body) + len(put) :],
        st.just(b"[" + b",".join(_ORDINARY) + b"]"),
        st.integers(0, 1000),
        st.binary(max_size=3) | _PIECES,
    ),
)


@settings(deadline=None, max_examples=300)
@given(_BODIES, st.sampled_from(["none", "body", "wrong", "bearer"]))
def test_no_body_is_a_fault(body: bytes, credential: str) -> None:
    log = Lines()
    webhook = _toy(OneAnswer(), log)
    assert asyncio.run(_status(webhook, "open", body, {})) in {200, 400, 413}
    assert (
        credential,
        asyncio.run(_status(webhook, "closed", body, _carrying(body)[credential])),
    ) in _LAWFUL
    assert "explosive" not in repr(log.lines)


_LAWFUL = {("none", 401), ("wrong", 401)} | {
    (credential, status) for credential in ("body", "bearer") for status in (200, 400, 413)
}


def _carrying(body: bytes) -> dict[str, dict[bytes, bytes]]:
    return {
        "none": {},
        "body": {b"x-signature": signature("secret", body).encode()},
        "wrong": {b"x-signature": b"0" * 40},
        "bearer": {b"authorization": b"Bearer token"},
    }


async def _status(webhook: Webhook, source: str, body: bytes, headers: dict[bytes, bytes]) -> int:
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope: Scope = {"path_params": {"source": source}, "headers": list(headers.items())}
    await webhook({"type": "http", **scope}, receive, send)
    (status,) = statuses
    return status


@pytest.mark.parametrize(
    ("error", "slug", "event"),
    [
        (StoreBusy("queue full"), "busy", "webhook.refused"),
        (StoreUnavailable("disk full"), "not-kept", "ingest.not_kept"),
    ],
)
async def test_what_cannot_be_kept_is_not_taken(error: StoreError, slug: str, event: str) -> None:
    answer, log = await _post_to_toy(OneAnswer(error), hello().payload)
    assert "Send them again" in _refusal(answer, slug)
    assert event in log.events


async def test_an_event_that_trips_a_fault_of_ours_costs_no_other() -> None:
    store = OneAnswer()
    batch: Json = [hello("explosive", "m-1").payload, hello("Ada", "m-2").payload]
    answer, log = await _post_to_toy(store, batch)
    assert answer.json() | {"quarantined": 1, "planned": 1} == answer.json()
    assert "ingest.not_planned" in log.events
    assert store.kept[0].reason == "it could not be planned (ZeroDivisionError)"
    assert b"explosive" in store.kept[0].original


def _refusal(answer: httpx.Response, slug: str) -> str:
    """Checks that the client is to come back, and gives the reason."""
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    document: dict[str, str] = answer.json()
    assert document["type"] == f"urn:conversion-relay:problem:{slug}"
    return document["detail"]
