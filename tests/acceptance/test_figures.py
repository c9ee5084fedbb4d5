"""A storm of everything through the whole service, and every figure that is told of it afterwards.

Metrics, flow, status, report, requests and the sandbox have to tell the same story.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

import apsw
import httpx
import orjson
import pytest

from conversion_relay.core.delivery import State
from conversion_relay.core.values import Json, JsonObject
from conversion_relay.sandbox import Sandbox, create_sandbox, parse_fault
from conversion_relay.sandbox import running as running_sandbox
from conversion_relay.service.app import now, open_relay
from conversion_relay.service.configuration import load
from conversion_relay.service.metrics import Reading
from support.disk import FULL, Disk, failing_disk
from support.events import order, track
from support.lines import Lines
from support.running import ADMIN, World, bodies, environment

SOURCES: Final = ("shop", "lab")
TOML: Final = """
[sources.shop]
signing_secrets = ["env:SEGMENT_SHARED_SECRET"]
bearer_tokens = ["env:RELAY_BEARER_TOKEN"]
destinations = ["tiktok"]

[sources.lab]
bearer_tokens = ["env:RELAY_BEARER_TOKEN"]
destinations = ["strict", "named"]

[destinations.tiktok]
pixel_code = "PIXEL"
api_url = "SANDBOX"
access_token = "env:TIKTOK_ACCESS_TOKEN"

[destinations.strict]
pixel_code = "STRICT"
api_url = "SANDBOX"
access_token = "env:TIKTOK_ACCESS_TOKEN"
on_invalid_field = "reject"

[destinations.named]
pixel_code = "NAMED"
api_url = "SANDBOX"
access_token = "env:TIKTOK_ACCESS_TOKEN"
mappings = "MAPPINGS"

[canary]
enabled = false
"""
NAMED: Final = {
    "name": "Named by the event",
    "subscribe": 'event = "Named"',
    "partnerAction": "reportWebEvent",
    "mapping": {
        "event": {"@template": "{{properties.name}}"},
        "event_id": {"@path": "$.messageId"},
        "event_source": "web",
        "email": {"@path": "$.context.traits.email"},
        "currency": {"@path": "$.properties.currency"},
        "value": {"@path": "$.properties.revenue"},
        "url": {"@path": "$.context.page.url"},
    },
}
FAULTS: Final = (
    "server_error=503,count=2",
    "throttle_code,count=1",
    "throttle=0,count=1",
    "token_revoked,count=1",
    "reject_index=0,count=1",
    "code=40002,count=1",
    "accept_then_reset,count=1",
    "reset,count=1",
    "garbage,count=1",
    "partial_ok,count=1",
)
MADE_UP: Final = ("Spring Sale", "Club", "Lena.Brandt@example.com")
CURRENCIES: Final = ("EUR", "USD", "JPY", "GBP")
SEEDS: Final = (1, 2)


@dataclass
class Story:
    """One side: what was posted, and what each run of the service counted of it."""

    sandbox: Sandbox
    folder: Path
    api_url: str
    log: Lines = field(default_factory=Lines)
    dice: random.Random = field(default_factory=random.Random)
    counted: Counter[Reading] = field(default_factory=Counter)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    forgotten: Counter[str] = field(default_factory=Counter)

    @asynccontextmanager
    async def service(self, *, delivering: bool = True) -> AsyncIterator[World]:
        """One run of the service; what it counted is read once all has ended."""
        toml = TOML.replace("SANDBOX", self.api_url)
        toml = toml.replace("MAPPINGS", str(self.folder / "named.json"))
        (self.folder / "relay.toml").write_text(toml)
        changes = {"RELAY_CONFIG": str(self.folder / "relay.toml")}
        configuration = load(environment(self.folder, self.api_url, **changes))
        async with open_relay(configuration, self.log) as relay:
            transport = httpx.ASGITransport(app=relay.http)
            async with httpx.AsyncClient(transport=transport, base_url="http://relay") as client:
                here = World(relay, self.sandbox, client, self.log)
                if not delivering:
                    yield here
                    return
                async with relay.delivering():
                    yield here
            assert relay.monitor is not None
            found = relay.monitor.around.metrics.readings()
            self.counted.update({key: int(count) for key, count in found.items() if count})

    def events(self, count: int) -> dict[str, list[JsonObject]]:
        """Events of every kind, by source."""
        made: dict[str, list[JsonObject]] = {name: [] for name in SOURCES}
        for number in itertools.islice(self.numbers, count):
            source = self.dice.choice(SOURCES)
            made[source].append(self._event(source, f"m-{number}"))
        return made

    def _event(self, source: str, name: str) -> JsonObject:
        dice = self.dice
        revenue = f"{dice.randint(0, 99999)}.{dice.randint(0, 999999):06}"
        bought = {"revenue": float(revenue), "currency": dice.choice(CURRENCIES)}
        bought["name"] = dice.choice(MADE_UP)
        user = f"user-{dice.randint(1, 5)}"
        named = "Named" if source == "lab" else "Order Completed"
        kinds = (
            (50, order(name, properties=bought, userId=user)),
            (10, track("Product Added", name, userId=user)),
            (10, track("Nothing of ours", name)),
            (10, order(name, properties={"products": [{"price": "x"}]})),
            (5, order(name, integrations={"All": False})),
            (5, order(name, type={"no": "type"})),
            (10, track(named, name, properties=bought)),
        )
        (chosen,) = dice.choices([one for _, one in kinds], [weight for weight, _ in kinds])
        return chosen


async def _story(folder: Path, seed: int, disk: Disk) -> AsyncIterator[Story]:
    """Two runs of the service, in which everything happens."""
    ticks = itertools.count(1_795_000_000)
    sandbox = create_sandbox(
        clock=lambda: float(next(ticks)) / 1000, access_tokens=frozenset({"access-token"})
    )
    (folder / "named.json").write_bytes(orjson.dumps([NAMED]))
    async with running_sandbox(sandbox) as api_url:
        story = Story(sandbox, folder, api_url, dice=random.Random(seed))  # noqa: S311 - no secret
        async with story.service() as here:
            await _storm(story, here)
            await _full_disk(story, here, disk)
            await here.settled_by_an_operator()
            await _operators(story, here)
            await _post(story, here, 30)  # and stop with these on their way
        async with story.service() as here:
            await _storm(story, here)
            await here.settled_by_an_operator()
            sandbox.faults.switch_on([parse_fault("token_revoked")])
            await _post(story, here, 20)
            await _until_it_stands(here)
        yield story


async def _storm(story: Story, here: World) -> None:
    faults = list(FAULTS)
    story.dice.shuffle(faults)
    for fault in faults:
        story.sandbox.faults.switch_on([parse_fault(fault)])
        await _post(story, here, 12)
        await here.settled_by_an_operator()
        story.sandbox.faults.switch_off()


async def _post(story: Story, here: World, count: int) -> None:
    """Batches, some of which come twice, one without a credential, and one of no known source."""
    for source, events in story.events(count).items():
        if not events:
            continue
        batch: list[Json] = [*events, 5] if story.dice.random() < 0.3 else [*events]
        for _ in range(story.dice.randint(1, 2)):
            answer = await here.post(batch, path=f"/webhook/{source}")
            assert answer.status_code == 200
        await here.post(batch, secret="wrong", bearer=None, path=f"/webhook/{source}")
    await here.post(5, path="/webhook/nope")


async def _full_disk(story: Story, here: World, disk: Disk) -> None:
    """What is kept goes on; what is new is refused, and comes again afterwards."""
    story.sandbox.faults.switch_on([parse_fault("server_error=503,count=2")])
    await _post(story, here, 20)
    disk.fault = FULL
    made = {source: events for source, events in story.events(20).items() if events}
    for source, events in made.items():
        assert (await here.post([*events], path=f"/webhook/{source}")).status_code == 503
    for _ in range(20):
        for worker in here.relay.workers.values():
            await worker.resume()
        await asyncio.sleep(0.02)
    assert "nothing can be written" in str((await _report(here))["warnings"])
    disk.fault = None
    for source, events in made.items():
        async with asyncio.timeout(20):
            while (await here.post([*events], path=f"/webhook/{source}")).status_code != 200:  # noqa: ASYNC110 - another program
                await asyncio.sleep(0.05)
    story.sandbox.faults.switch_off()


async def _operators(story: Story, here: World) -> None:
    """Some of what was given up goes again, some is discarded, and a user is forgotten."""
    for path, wanted in (
        ("/api/replays", {"state": ["dead"], "destination": "tiktok"}),
        ("/api/discards", {"state": ["dead", "uncertain"], "destination": "strict"}),
    ):
        form = {**wanted, "dry_run": False}
        answer = await here.client.post(path, json=form, headers=TOKEN)
        assert answer.status_code == 200, answer.text
    await here.settled_by_an_operator()
    form = {"user": "user-3", "dry_run": False}
    answer = await here.client.post("/api/forget", json=form, headers=TOKEN)
    found = answer.raise_for_status().json()
    story.forgotten.update(events=found["events"], deliveries=sum(found["deliveries"].values()))


async def _until_it_stands(here: World) -> None:
    """Something is held, and nothing is on its way."""
    async with asyncio.timeout(20):
        while await _goes_on(here):  # noqa: ASYNC110 - the other side is another program
            await asyncio.sleep(0.02)


async def _goes_on(here: World) -> bool:
    states = {one.state for one in await here.relay.store.history.waiting()}
    return State.HELD not in states or State.CLAIMED in states


def _rows(folder: Path, query: str) -> list[tuple[Json, ...]]:
    connection = apsw.Connection(str(folder / "relay.db"), apsw.SQLITE_OPEN_READONLY)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


@pytest.fixture(params=SEEDS)
async def story(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Story]:
    with failing_disk(tmp_path) as disk:
        async for one in _story(tmp_path, int(request.param), disk):
            yield one


TOKEN: Final = {"Authorization": f"Bearer {ADMIN}"}
SINCE: Final = timedelta(days=1)
JOINED: Final = """
    SELECT event_name, deliveries.state, currency, count(*), coalesce(sum(value_micros), 0)
    FROM deliveries JOIN events ON events.id = deliveries.event GROUP BY 1, 2, 3
"""
FATES: Final = {
    **dict.fromkeys(("pending", "claimed", "held"), "waiting"),
    **{one: one for one in ("uncertain", "dead", "suppressed")},
}


async def test_every_figure_tells_the_same_story(story: Story) -> None:
    async with story.service(delivering=False) as here:
        await _flow_is_what_was_counted(story, here)
        await _what_is_kept_is_what_was_counted(story, here)
        await _the_report_is_what_is_kept(story, here)
        await _requests_are_those_of_the_sandbox(story, here)
        await _attempts_are_those_of_the_sandbox(story, here)
        _delivered_is_what_the_sandbox_counts(story)


async def _flow_is_what_was_counted(story: Story, here: World) -> None:
    found = await here.relay.store.history.flow(now() - SINCE, now() + timedelta(minutes=2), SINCE)
    flow = Counter[Reading]()
    for one in found:
        flow[one.measure, one.labels] += one.count
    assert {key: flow[key] for key in story.counted} == story.counted


async def _what_is_kept_is_what_was_counted(story: Story, here: World) -> None:
    status = await here.status()
    rows = _rows(story.folder, "SELECT disposition, count(*) FROM events GROUP BY 1")
    kept = {str(name): int(str(count)) for name, count in rows}
    assert {name: count for name, count in status["events"].items() if count} == kept
    counted = sum(n for (name, _), n in story.counted.items() if name == "events_kept")
    assert counted == sum(kept.values()) + story.forgotten["events"]
    rows = _rows(
        story.folder,
        "SELECT destination, state, count(*) FROM deliveries "
        "JOIN envelopes ON envelopes.id = deliveries.envelope GROUP BY 1, 2",
    )
    by_state = {(str(name), str(state)): int(str(count)) for name, state, count in rows}
    shown: Mapping[str, Mapping[str, int]] = orjson.loads(orjson.dumps(status["deliveries"]))
    assert {
        (name, state): count
        for name, states in shown.items()
        for state, count in states.items()
        if count
    } == by_state
    waits = {
        (one.destination, one.state.value): one.count
        for one in await here.relay.store.history.waiting()
    }
    assert waits == {key: n for key, n in by_state.items() if FATES.get(key[1]) == "waiting"}
    planned = sum(n for (name, _), n in story.counted.items() if name == "deliveries_planned")
    assert planned == sum(by_state.values()) + story.forgotten["deliveries"]


async def _the_report_is_what_is_kept(story: Story, here: World) -> None:
    report = await _report(here)
    events, totals = _objects(report["by_event"]), report["totals"]
    assert isinstance(totals, dict)
    rows = [(_shown(row[0]), *row[1:]) for row in _rows(story.folder, JOINED)]
    assert {one["name"] for one in events} == {row[0] for row in rows}
    for one in (*events, {**totals, "name": None}):
        own = [row for row in rows if one["name"] in {None, row[0]}]
        expected = {"received": _amount(own)}
        for fate in ("waiting", "uncertain", "dead", "suppressed"):
            expected[fate] = _amount([row for row in own if FATES.get(str(row[1])) == fate])
        delivered = _amount([row for row in own if row[1] == "delivered"])
        found = {fate: _read(one[fate]) for fate in expected}
        assert found == expected, one["name"]
        assert _read(one["on_time"]) + _read(one["late"]) == delivered
    course = _objects(report["course"])
    assert sum(int(str(one["received"])) for one in course) == _read(totals["received"])[""]
    arrived = _amount([row for row in rows if row[1] == "delivered"])
    assert sum(int(str(one["delivered"])) for one in course) == arrived[""]


def _shown(name: Json) -> Json:
    """What an event makes up as its name is told to nobody."""
    return "other" if name in MADE_UP else name


async def _report(here: World) -> JsonObject:
    asked = {"since": (now() - SINCE).isoformat(), "format": "json"}
    answer = await here.client.get("/api/report", params=asked, headers=TOKEN)
    found: JsonObject = orjson.loads(answer.raise_for_status().content)
    return found


def _objects(value: Json) -> list[JsonObject]:
    assert isinstance(value, list)
    return [one for one in value if isinstance(one, dict)]


def _amount(rows: Iterable[tuple[Json, ...]]) -> Counter[str]:
    """The count under no name, and millionths by currency."""
    found = Counter[str]()
    for _, _, currency, count, micros in rows:
        found[""] += int(str(count))
        if currency is not None:
            found[str(currency)] += int(str(micros))
    return +found


def _read(amount: Json) -> Counter[str]:
    assert isinstance(amount, dict)
    value = amount["value"]
    assert isinstance(value, dict)
    micros = {one: int(Decimal(str(text)) * 1_000_000) for one, text in value.items()}
    return +Counter({"": int(str(amount["count"])), **micros})


async def _requests_are_those_of_the_sandbox(story: Story, here: World) -> None:
    kept = await here.relay.store.history.requests(now() - SINCE, now() + SINCE, 10_000)
    journal = story.sandbox.journal.latest()
    assert len(journal) == story.sandbox.journal.written
    told = Counter((one.status, one.code, one.events) for one in kept)
    known = (_answered(one) for one in journal)
    assert told == Counter(known)
    counted = {key: n for key, n in story.counted.items() if key[0] == "destination_requests"}
    ended = ((one.destination, one.result) for one in kept)
    assert Counter(("destination_requests", labels) for labels in ended) == counted


def _answered(entry: Mapping[str, Json]) -> tuple[Json, Json, Json]:
    """As a client sees it: who gets no answer knows no code, nor does who cannot read it."""
    status = entry["status"]
    unread = status is None or str(entry["fault"]).startswith("garbage")
    return status, None if unread else entry["code"], entry["events"]


async def _attempts_are_those_of_the_sandbox(story: Story, here: World) -> None:
    sent = Counter(str(one["event_id"]) + str(one["event"]) for one in bodies(story.sandbox))
    rows = _rows(story.folder, "SELECT id, event_id, event_name FROM deliveries")
    for number, event_id, name in rows:
        kept = await here.relay.store.history.attempts(int(str(number)))
        assert len(kept) == sent[f"{event_id}{name}"], (number, kept)


def _delivered_is_what_the_sandbox_counts(story: Story) -> None:
    ledger = {(one.event, one.event_id) for one in story.sandbox.ledger.conversions()}
    rows = _rows(
        story.folder,
        "SELECT event_name, event_id, state, value_micros, currency, first_unknown_at "
        "FROM deliveries",
    )
    delivered = {(row[0], row[1]) for row in rows if row[2] == "delivered"}
    assert delivered <= ledger
    worth = {
        (one["event"], one["event_id"]): _worth(one["properties"]) for one in bodies(story.sandbox)
    }
    for name, event_id, state, micros, currency, _ in rows:
        if state == "delivered":
            assert worth[name, event_id] == (micros, currency)
    others = ledger - delivered
    unsure = {(row[0], row[1]) for row in rows if row[5] is not None}
    assert len(others - unsure) <= story.forgotten["deliveries"]


def _worth(properties: Json) -> tuple[int | None, Json]:
    if not isinstance(properties, dict) or "value" not in properties:
        return None, None
    return int(Decimal(str(properties["value"])) * 1_000_000), properties.get("currency")
