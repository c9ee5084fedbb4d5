"""The work of one event, on one core, piece by piece."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from conversion_relay.core.decoding import Decoded, decode, elements
from conversion_relay.core.event import SegmentEvent
from conversion_relay.core.mapping import compile_mapping
from conversion_relay.core.plan import PlannedDelivery, plan
from conversion_relay.core.values import JsonObject
from conversion_relay.service.configuration import load_for_preview
from conversion_relay.service.preset_files import presets_folder, read_preset_set
from conversion_relay.service.sealing import KEY_BYTES, Sealer
from conversion_relay.service.targets import build_targets
from core.mapping.interpreter import interpret
from support.events import order

SECRET = b"a shared secret of thirty-two by"
NOW = datetime(2026, 11, 21, tzinfo=UTC)
_SECONDS_EACH = 0.4
_ROUNDS = 5
_BATCH = 100


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured figure: how many each second, and what it is compared with."""

    what: str
    per_second: float
    remark: str = ""


def sample_event() -> JsonObject:
    """An order of three products."""
    event = order("message-0000000000")
    properties = event["properties"]
    assert isinstance(properties, dict)
    products = properties["products"]
    assert isinstance(products, list)
    properties["products"] = products * 3
    return event


def sample_delivery() -> PlannedDelivery:
    """What it leads to."""
    parsed = SegmentEvent.parse(sample_event())
    assert isinstance(parsed, SegmentEvent)
    (delivery,) = plan(parsed, build_targets(load_for_preview({})), NOW).deliveries
    return delivery


def figures() -> list[Figure]:
    """The floor first: what no service of this kind can do without."""
    event = sample_event()
    body = orjson.dumps(event)
    text = body.decode()
    batch = b"[" + b",".join([body] * _BATCH) + b"]"
    (definition,) = [
        one
        for one in read_preset_set("tiktok-conversions", presets_folder(None))
        if one.name == "Place an Order"
    ]
    compiled = compile_mapping(definition.mapping)
    assert compiled.resolve(event) == interpret(definition.mapping, event)
    parsed = SegmentEvent.parse(event)
    assert isinstance(parsed, SegmentEvent)
    targets = build_targets(load_for_preview({}))
    delivery = sample_delivery()
    sealer = Sealer((bytes(KEY_BYTES),))
    kept = [(body, b"original"), (delivery.body, b"body")] * _BATCH
    interpreted = _rate(lambda: interpret(definition.mapping, event))
    compiled_rate = _rate(lambda: compiled.evaluate(event))
    times = f"{compiled_rate / interpreted:.0f} times the interpreter"
    size = f"an event of {len(body):,} bytes"
    return [
        Figure("floor: HMAC, decode, three SHA-256, encode", _rate(lambda: _floor(body)), size),
        Figure("decode one event", _rate(lambda: decode(text))),
        Figure("decode a batch of 100", _rate(lambda: _decoded(batch), _BATCH)),
        Figure("mapping, plain interpreter", interpreted),
        Figure("mapping, compiled", compiled_rate, times),
        Figure(
            "plan: trigger, map, check, hash, build", _rate(lambda: plan(parsed, targets, NOW))
        ),
        Figure("seal original and body", _rate(lambda: sealer.seal_all(kept), _BATCH)),
    ]


def _floor(body: bytes) -> bytes:
    hmac.new(SECRET, body, hashlib.sha1).hexdigest()
    event = orjson.loads(body)
    for key in ("userId", "messageId", "event"):
        hashlib.sha256(event[key].encode()).hexdigest()
    return orjson.dumps(event)


def _decoded(batch: bytes) -> list[Decoded]:
    events = [one for one in elements(batch.decode(), len(batch)) if isinstance(one, Decoded)]
    assert len(events) == _BATCH
    return events


def _rate(work: Callable[[], object], events: int = 1) -> float:
    """Events each second: the best of several rounds, so that a neighbour counts less."""
    best = 0.0
    for _ in range(_ROUNDS):
        done, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < _SECONDS_EACH / _ROUNDS:
            for _ in range(10):
                work()
            done += 10
        best = max(best, done * events / elapsed)
    return best
