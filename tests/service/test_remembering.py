"""The memory is read once, for sources that opted in, and never costs an event."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from conversion_relay.core.decoding import Decoded, Unusable
from conversion_relay.core.match_keys import EMAIL, EXTERNAL_ID, PHONE, Memory
from conversion_relay.core.plan import PlannedDelivery
from conversion_relay.core.values import Json
from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.http.planning import Planner
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.remembering import Known, Read, Recall
from conversion_relay.service.store.persons import key_counts
from conversion_relay.service.store.port import Disposition, KeyCount, Learned
from support.lines import Lines
from support.toy import target

NOW = datetime(2026, 1, 10, tzinfo=UTC)
LASTS = timedelta(days=30)
ADA: Known = {"ada": {"toy": {EMAIL: "ada@shop"}}}


@dataclass(slots=True)
class Book:
    """Remembers what it was given, and what it was asked."""

    known: Known = field(default_factory=dict)
    asked: list[tuple[str, list[str], datetime]] = field(default_factory=list)

    async def remembered(self, source: str, subjects: Sequence[str], now: datetime) -> Known:
        """All of it."""
        self.asked.append((source, list(subjects), now))
        return self.known


async def broken(*_: object) -> Known:
    """Cannot be read."""
    raise StoreUnavailable("the disk is gone")


async def stuck(*_: object) -> Known:
    """Never answers."""
    await asyncio.Event().wait()
    return {}


def element(**parts: Json) -> Decoded:
    value: Json = {"messageId": "m", **parts}
    return Decoded(value, "{}")


def recall(read: Read, log: Lines | None = None, metrics: Metrics | None = None) -> Recall:
    lasts = {"web": LASTS}
    return Recall(read, lasts, lambda: NOW, metrics or Metrics(), log or Lines(), 0.01)


async def test_each_person_is_asked_for_once_and_nobody_else() -> None:
    book = Book(ADA)
    memory = await recall(book.remembered).of(
        "web",
        [
            element(userId="ada", anonymousId="phone-1"),
            element(userId="ada", anonymousId="undefined"),
            element(anonymousId="a" * 300),
            Unusable("broken", "{"),
            None,
        ],
    )
    assert book.asked == [("web", ["ada", "phone-1"], NOW)]
    assert memory is not None
    assert memory.of("ada", "toy") == {EMAIL: "ada@shop"}


@pytest.mark.parametrize("source", ["web", "shop"])
async def test_a_store_is_asked_only_if_there_is_something_to_ask(source: str) -> None:
    book = Book()
    elements = [element(userId="null")] if source == "web" else [element(userId="ada")]
    memory = await recall(book.remembered).of(source, elements)
    assert (memory is None) == (source == "shop")
    assert not book.asked


@pytest.mark.parametrize("read", [broken, stuck])
async def test_a_memory_that_cannot_be_read_costs_no_event(read: Read) -> None:
    log, metrics = Lines(), Metrics()
    memory = await recall(read, log, metrics).of("web", [element(userId="ada")])
    assert memory == Memory()
    assert log.events == ["match_keys.not_read"]
    assert 'relay_match_keys_unread_total{source="web"} 1.0' in metrics.exposition().decode()


def planner(log: Lines) -> Planner:
    routes = {"web": (target(),), "shop": (target(),)}
    return Planner(routes, 64 * 1024, lambda: NOW, log, {"web": LASTS})


IDENTIFY = element(type="identify", userId="ada", anonymousId="x", traits={"email": "ada@shop"})
HELLO = element(type="track", event="Hello", anonymousId="x", properties={"name": "Ada"})
LEARNED = Learned("toy", {EMAIL: "ada@shop", EXTERNAL_ID: "ada"}, NOW + LASTS)


def test_what_an_event_taught_goes_with_it_and_fills_the_next() -> None:
    plans, memory = planner(Lines()), Memory()
    first, second = (plans.plan("web", one, memory) for one in (IDENTIFY, HELLO))
    assert (first.subjects, first.learned) == (("ada", "x"), (LEARNED,))
    assert second.deliveries[0].filled == {EMAIL, EXTERNAL_ID}
    assert set(second.key_counts) == {
        KeyCount("toy", "any", before=1, after=1),
        KeyCount("toy", "name", before=1, after=1),
        KeyCount("toy", EMAIL, before=0, after=1),
        KeyCount("toy", EXTERNAL_ID, before=0, after=1),
    }


def test_a_replay_reads_the_memory_and_teaches_nothing() -> None:
    plans, memory = planner(Lines()), Memory()
    plans.plan_received("web", IDENTIFY, NOW, memory)
    assert memory == Memory()
    known = Memory({"x": {"toy": {EMAIL: "ada@shop"}}})
    assert plans.plan_received("web", HELLO, NOW, known).deliveries[0].filled == {EMAIL}


def test_a_source_that_did_not_opt_in_learns_nothing_and_is_counted() -> None:
    plans, memory = planner(Lines()), Memory({"x": ADA["ada"]})
    first, second = (plans.plan("shop", one, memory) for one in (IDENTIFY, HELLO))
    assert (first.subjects, first.learned) == (("ada", "x"), ())
    assert second.subjects == ("x",)
    assert second.deliveries == plans.plan("shop", HELLO).deliveries
    assert {(one.key, one.before, one.after) for one in second.key_counts} == {
        ("any", True, True),
        ("name", True, 1),
    }


def test_of_what_is_in_quarantine_the_ids_are_kept_if_they_can_be_read() -> None:
    plans = planner(Lines())
    nameless = plans.plan("web", element(userId="ada"))
    assert (nameless.disposition, nameless.subjects) == (Disposition.QUARANTINED, ("ada",))
    assert plans.plan("web", Unusable("broken", '{"userId":"ada"')).subjects == ()


def delivery(keys: frozenset[str], filled: frozenset[str] = frozenset()) -> PlannedDelivery:
    return PlannedDelivery("toy", "Greet", "one", "Greeting", None, b"{}", keys, filled)


def test_each_conversion_is_counted_with_and_without_memory() -> None:
    bare, filled = delivery(frozenset()), delivery(frozenset({PHONE}), frozenset({PHONE}))
    assert key_counts([]) == ()
    assert key_counts([bare]) == (KeyCount("toy", "any", before=0, after=0),)
    assert key_counts([bare, filled]) == (
        KeyCount("toy", "any", before=0, after=0),
        KeyCount("toy", "any", before=0, after=1),
        KeyCount("toy", PHONE, before=0, after=1),
    )
