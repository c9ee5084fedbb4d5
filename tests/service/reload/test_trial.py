"""A change tried with kept events: what is lost is objected to, and no value is repeated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.core.decoding import Decoded, Unusable
from conversion_relay.core.filters import ConsentRule
from conversion_relay.core.match_keys import Memory
from conversion_relay.core.plan import OnInvalidField, Target
from conversion_relay.core.preset import PresetDefinition
from conversion_relay.core.values import Json, JsonObject
from conversion_relay.service.http.planning import Planner
from conversion_relay.service.rehearsal import side_of
from conversion_relay.service.reload.comparison import Comparison, Side
from conversion_relay.service.reload.trial import Trial, trial_of, try_kept
from conversion_relay.service.replay import element_of
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.settings import ServiceSettings
from conversion_relay.service.store.history import CANARY_SOURCE
from conversion_relay.service.store.port import (
    Disposition,
    EventPage,
    KeptEvent,
    NewEvent,
    Selection,
    Store,
)
from conversion_relay.service.store.sqlite import open_store
from support.lines import Lines
from support.toy import GREETING, definition, hello, target

NOW = datetime(2026, 1, 14, 9, 30, tzinfo=UTC)
TOY = target()
WITHOUT_AGE: JsonObject = {key: one for key, one in GREETING.items() if key != "age"}


def side(*targets: Target, source: str = "web", **settings: int) -> Side:
    """One source, which feeds these targets."""
    return side_of(
        {source: targets}, ServiceSettings.model_validate(settings), lambda: NOW, Lines()
    )


def greets(*, name: str = "Greet", trigger: str = 'event = "Hello"', **changes: Json) -> Target:
    """A target with one greeting, changed so."""
    mapping = {**GREETING, **changes}
    kept: JsonObject = {key: one for key, one in mapping.items() if one is not None}
    return target(PresetDefinition(name, trigger, "greet", kept))


def tried(events: Iterable[Json | bytes], now: Side, then: Side, source: str = "web") -> Trial:
    found = Comparison()
    for event in events:
        original = event if isinstance(event, bytes) else orjson.dumps(event)
        element = element_of(original)
        assert element is not None
        before = now.planned(source, element, NOW)
        found.add(before, then.planned(source, element, NOW), then)
    return trial_of(found, then)


ADA, BOB = hello("Ada", "m-1", age=5).payload, hello("Bob", "m-2").payload
OTHER: JsonObject = {"type": "track", "event": "Other", "messageId": "m-3", "properties": {}}
STRICT = replace(TOY, on_invalid_field=OnInvalidField.REJECT)
ODD = hello("Eve", "m-4", age="unknown").payload
NO_NUMBER = "age must be a finite number, it is a string"
TOO_LARGE = "it is larger than 300 bytes"
LARGE = hello("x" * 400, "m-5").payload
ELSEWHERE = replace(TOY, name="else")

CASES: dict[str, tuple[list[Json], Side, Side, list[str], list[str]]] = {
    "nothing changes": ([ADA, BOB, OTHER, ODD, {"no": "event"}], side(TOY), side(TOY), [], []),
    "one is rejected now": (
        [ADA, ODD, ODD],
        side(TOY),
        side(STRICT),
        [f"destination toy, mapping Greet: 2 events sent now would be rejected: {NO_NUMBER}"],
        ["source web, destination toy, mapping Greet, event Greeting: 3 now, 1 then"],
    ),
    "what was rejected is sent": (
        [ADA, ODD],
        side(STRICT),
        side(TOY),
        [],
        [
            "source web, destination toy, mapping Greet, event Greeting: 1 now, 2 then",
            f"destination toy, mapping Greet: 1 event would have a new warning: {NO_NUMBER}",
        ],
    ),
    "a trigger is misspelt": (
        [ADA, BOB],
        side(TOY),
        side(greets(trigger='event = "Helo"')),
        ["destination toy: 2 deliveries now, then none"],
        [
            "source web, destination toy, mapping Greet, event Greeting: 2 now, 0 then",
            (
                "destination toy, mapping Greet: 2 events sent now would match no trigger of the "
                "destination"
            ),
        ],
    ),
    "a destination is gone": (
        [ADA],
        side(TOY, ELSEWHERE),
        side(TOY),
        ["destination else, which is not configured then: 1 delivery now, then none"],
        ["source web, destination else, mapping Greet, event Greeting: 1 now, 0 then"],
    ),
    "a destination is new": (
        [ADA],
        side(TOY),
        side(TOY, ELSEWHERE),
        [],
        ["source web, destination else, mapping Greet, event Greeting: 0 now, 1 then"],
    ),
    "a source is gone": (
        [ADA, BOB],
        side(TOY),
        side(TOY, source="shop"),
        ["destination toy: 2 deliveries now, then none"],
        [
            "source web, destination toy, mapping Greet, event Greeting: 2 now, 0 then",
            "source web: is not configured then; 2 events came from it",
        ],
    ),
    "a mapping has another name": (
        [ADA],
        side(TOY),
        side(greets(name="Welcome")),
        [],
        [
            "source web, destination toy, mapping Greet, event Greeting: 1 now, 0 then",
            "source web, destination toy, mapping Welcome, event Greeting: 0 now, 1 then",
        ],
    ),
    "a field is not sent any more": (
        [ADA, BOB],
        side(TOY),
        side(greets(age=None)),
        [],
        ["destination toy, mapping Greet: 1 request differs, in age"],
    ),
    "a field and the batch differ": (
        [ADA, BOB],
        side(TOY),
        side(greets(name="Greet", batch="two", age=7)),
        [],
        ["destination toy, mapping Greet: 2 requests differ, in age, batch, body"],
    ),
    "consent is asked for": (
        [ADA],
        side(TOY),
        side(replace(TOY, consent=ConsentRule(("Marketing",)))),
        ["destination toy: 1 delivery now, then none"],
        [
            "source web, destination toy, mapping Greet, event Greeting: 1 now, 0 then",
            (
                "destination toy, mapping Greet: 1 event sent now would be held back: "
                "context.consent is missing, and consent is required"
            ),
        ],
    ),
    "an event is too large then": (
        [ADA, LARGE],
        side(TOY),
        side(TOY, max_event_bytes=300),
        [f"every destination: 1 event sent now would be put into quarantine: {TOO_LARGE}"],
        ["source web, destination toy, mapping Greet, event Greeting: 2 now, 1 then"],
    ),
    "a mapping is new, and rejects": (
        [OTHER],
        side(TOY),
        side(target(definition(), definition("Odd", 'event = "Other"'))),
        [],
        [
            (
                "destination toy, mapping Odd: 1 event not sent now would be rejected: name is "
                "required, it is missing"
            )
        ],
    ),
    "of two mappings one rejects": (
        [ODD],
        side(target(definition(), definition("Second"))),
        side(replace(target(definition("Third")), on_invalid_field=OnInvalidField.REJECT)),
        [
            "destination toy: 2 deliveries now, then none",
            f"destination toy, mapping Third: 1 event sent now would be rejected: {NO_NUMBER}",
        ],
        [
            "source web, destination toy, mapping Greet, event Greeting: 1 now, 0 then",
            "source web, destination toy, mapping Second, event Greeting: 1 now, 0 then",
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_change_would_do(name: str) -> None:
    events, now, then, objections, changes = CASES[name]
    trial = tried(events, now, then)
    assert list(trial.objections) == objections
    assert list(trial.changes) == changes


def test_each_reason_is_counted_and_only_so_many_are_told() -> None:
    mappings = [definition(f"Greet {number}") for number in range(40)]
    strict = replace(target(*mappings), on_invalid_field=OnInvalidField.REJECT)
    trial = tried([ODD], side(target(*mappings)), side(strict, TOY))
    assert len([one for one in trial.objections if "would be rejected" in one]) == 30
    assert trial.objections[-1] == "and 10 more of this kind"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
KEYS = st.sampled_from(["name", "age", "batch", "email", "phones", "id"])
EVENTS = st.lists(
    st.builds(
        lambda event, properties, extra: {
            "type": "track", "event": event, "messageId": "m", "properties": properties, **extra
        },
        st.sampled_from(["Hello", "Other"]),
        st.dictionaries(KEYS, VALUES),
        st.dictionaries(st.sampled_from(["integrations", "context", "type"]), VALUES),
    )
    | VALUES,
    max_size=6,
)  # fmt: skip
SIDES = st.sampled_from(
    [
        side(TOY),
        side(STRICT),
        side(greets(trigger='event = "Other"')),
        side(greets(age=None), ELSEWHERE),
        side(TOY, max_event_bytes=256),
        side(TOY, source="shop"),
        side(),
    ]
)


@given(EVENTS, SIDES)
def test_a_configuration_against_itself_changes_nothing(events: list[Json], one: Side) -> None:
    (source,) = one.sources
    trial = tried(events, one, one, source)
    assert (trial.objections, trial.changes) == ((), ())
    assert trial.deliveries_now == trial.deliveries_then
    assert trial.events == len(events)


@given(EVENTS, SIDES, SIDES)
def test_the_counts_are_the_deliveries(events: list[Json], now: Side, then: Side) -> None:
    trial = tried(events, now, then)
    for one, count in ((now, trial.deliveries_now), (then, trial.deliveries_then)):
        elements = [element_of(orjson.dumps(event)) for event in events]
        planned = [one.planned("web", each, NOW) for each in elements if each is not None]
        assert count == sum(len(event.deliveries) for event in planned)
    lost = trial.deliveries_now and not trial.deliveries_then
    assert not lost or trial.objections


@pytest.mark.parametrize("name", ["lena@example.com", "Brandt", "buyer-311"])
def test_a_name_made_of_what_an_event_holds_is_not_told(name: str) -> None:
    known = side(TOY)

    def plan(source: str, element: Decoded | Unusable, at: datetime, _: Memory | None) -> NewEvent:
        found = known.plan(source, element, at, None)
        named = tuple(replace(one, event_name=name) for one in found.deliveries)
        return replace(found, deliveries=named)

    trial = tried([ADA], replace(known, plan=plan), known)
    told = "\n".join((*trial.changes, *trial.objections, repr(trial.comparison)))
    assert "(another name)" in told
    assert name not in told


def _filled(value: str, key: str) -> JsonObject:
    """A greeting that holds the value wherever it can."""
    return {
        "type": "track",
        "event": "Hello",
        "messageId": value,
        "properties": {"name": value, key: [value, {value: value}]},
    }


SECRET = st.text("#%&", min_size=6, max_size=9)


@given(st.lists(SECRET, min_size=1, max_size=3), SIDES, SIDES, KEYS)
def test_no_value_of_an_event_is_repeated(
    values: list[str], now: Side, then: Side, key: str
) -> None:
    events = [
        hello(value, value, **{key: [value, {value: value}]} if key != "name" else {}).payload
        for value in values
    ]
    trial = tried(events, now, then)
    told = "\n".join((trial.summary, *trial.changes, *trial.objections))
    assert not any(value in told for value in values)
    assert not any(value in repr(trial.comparison) for value in values)


@dataclass(slots=True)
class Bench:
    """A store with events."""

    store: Store

    async def keep(self, originals: Sequence[bytes], source: str = "web") -> None:
        """Events of which nothing was made, of yesterday."""
        await self.store.append(
            [
                NewEvent(
                    source, f"{source}-{number}-{len(originals)}", "track",
                    NOW - timedelta(days=1), original, Disposition.UNMATCHED,
                )
                for number, original in enumerate(originals)
            ]
        )  # fmt: skip


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    store = await open_store(tmp_path / "relay.db", Sealer([bytes(32)]))
    yield Bench(store)
    await store.close()


def greetings(count: int, start: int = 0) -> list[bytes]:
    numbers = range(start, start + count)
    return [orjson.dumps(hello("Ada", f"m-{one}", age=one).payload) for one in numbers]


async def test_the_newest_events_are_tried(bench: Bench) -> None:
    await bench.keep([orjson.dumps(OTHER)] * 300)
    await bench.keep(greetings(450), "web")
    trial = await try_kept(bench.store, 450, side(TOY), side(greets(age=None)))
    assert (trial.events, trial.deliveries_now, trial.deliveries_then) == (450, 450, 450)
    assert trial.changes == ("destination toy, mapping Greet: 450 requests differ, in age",)
    all_of_them = await try_kept(bench.store, 10_000, side(TOY), side(TOY))
    assert (all_of_them.events, all_of_them.deliveries_now) == (750, 450)
    assert all_of_them.summary == (
        "tried with 750 events, from which 450 deliveries result now and 450 with the change"
    )


async def test_test_events_of_the_service_itself_are_no_real_ones(bench: Bench) -> None:
    await bench.keep(greetings(3), "web")
    await bench.keep(greetings(300, start=3), CANARY_SOURCE)
    trial = await try_kept(bench.store, 3, side(TOY), side(TOY))
    assert (trial.events, trial.deliveries_now, trial.changes) == (3, 3, ())


@pytest.mark.parametrize(("kept", "newest"), [(0, 1000), (5, 0)])
async def test_nothing_to_try_is_said(bench: Bench, kept: int, newest: int) -> None:
    await bench.keep(greetings(kept))
    trial = await try_kept(bench.store, newest, side(TOY), side())
    assert (trial.events, trial.objections) == (0, ())
    assert trial.summary == "no event is kept, so that nothing was tried"


async def test_it_is_as_of_the_day_on_which_it_came(bench: Bench) -> None:
    """Otherwise every event without a time of its own would be another one."""
    await bench.keep(greetings(1))
    seen: list[datetime] = []
    planner = Planner({"web": (TOY,)}, 64 * 1024, lambda: NOW, Lines())

    def replan(*given: object) -> NewEvent:
        source, element, now, memory = given
        assert memory is None
        assert isinstance(now, datetime)
        seen.append(now)
        return planner.plan_received(str(source), element, now, None)  # type: ignore[arg-type]

    one = Side(replan, frozenset({"web"}), frozenset({"toy"}))
    await try_kept(bench.store, 5, one, one)
    assert seen == [NOW - timedelta(days=1)] * 2


def _kept(original: bytes | None) -> KeptEvent:
    unmatched = Disposition.UNMATCHED
    return KeptEvent(1, "web", "m-1", "track", NOW, unmatched, None, (), (), original)


@dataclass(frozen=True, slots=True)
class Answering:
    """A store that answers at once with these events, and with as many again, for ever."""

    events: tuple[KeptEvent, ...]

    async def before_newest(self, count: int) -> int:
        """Before all."""
        return 0 * count

    async def select(self, selection: Selection, after: int, limit: int) -> EventPage:
        """The same again: more comes in while the trial goes on."""
        assert selection == Selection()
        return EventPage(self.events[:limit], after + 1, 0.5)


async def test_what_cannot_be_read_any_more_is_counted_apart() -> None:
    store = Answering((_kept(None), _kept(greetings(1)[0])))
    trial = await try_kept(store, 2, side(TOY), side(TOY))
    assert (trial.events, trial.unreadable) == (1, 1)
    assert trial.summary.endswith("; 1 more cannot be read any more")


async def test_what_arrives_meanwhile_does_not_keep_it_going() -> None:
    store = Answering((_kept(greetings(1)[0]),) * 200)
    trial = await try_kept(store, 350, side(TOY), side(TOY))
    assert trial.events == 350


async def test_others_have_the_loop_between_any_two_plans() -> None:
    turns, most = 0, 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def counting(one: Side) -> Side:
        seen = 0

        def replan(*given: object) -> NewEvent:
            nonlocal seen, most
            most = max(most, 0 if turns > seen else 1)
            seen = turns
            return one.plan(*given)  # type: ignore[arg-type]

        return replace(one, plan=replan)

    task = asyncio.create_task(other())
    await asyncio.sleep(0)
    store = Answering((_kept(greetings(1)[0]),) * 20)
    await try_kept(store, 20, counting(side(TOY)), counting(side(TOY)))
    task.cancel()
    assert turns >= 40
    assert most == 0
