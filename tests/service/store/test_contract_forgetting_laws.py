"""Whatever happens in whatever order: the forgotten are gone, and nothing of anybody else is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conversion_relay.core.delivery import Cause, State, Transition
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.originals import open_originals
from conversion_relay.service.store.port import (
    ClaimedDelivery,
    Disposition,
    KeptEvent,
    Learned,
    NewEvent,
    Requeue,
    Retention,
    Selection,
    Settlement,
    Store,
)
from service.store.conftest import ENGINES, KEY, Engine, new_engine
from service.store.examples import LEASE, NOW, delivered, event

KEYS = [KEY, *(bytes([number]) * 32 for number in range(1, 8))]
LEARNED = Learned("tiktok", {"email": "e"}, NOW + timedelta(days=9))
ENDS = {State.DELIVERED: Cause.ACCEPTED, State.DEAD: Cause.REFUSED}
OLD = timedelta(days=2)
NAMES = ["u", "v", "w", "x"]
Kinds = tuple[str, str, str, str]  # userId, anonymousId, source, what kind of event

USERS = st.sampled_from(NAMES)
SOURCES = st.sampled_from(["default", "other"])
KINDS = st.sampled_from(["planned", "taught", "old", "unread"])
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("append"), st.lists(st.tuples(USERS, USERS, SOURCES, KINDS), max_size=6)
        ),
        st.tuples(st.just("claim"), st.integers(1, 5)),
        st.tuples(st.just("end"), st.sampled_from([State.DELIVERED, State.DEAD])),
        st.tuples(st.just("replay"), st.booleans()),
        st.tuples(st.just("forget"), st.frozensets(USERS, min_size=1, max_size=2)),
        st.tuples(st.just("forget here"), USERS),
        st.tuples(st.just("all at once"), USERS),
        st.tuples(st.just("sweep"), st.booleans()),
        st.tuples(st.just("change the key"), st.just(None)),
        st.tuples(st.just("copy"), st.just(None)),
    ),
    max_size=20,
)


def new_event(name: str, kind: Kinds) -> NewEvent:
    user, anonymous, source, what = kind
    one = event(name, source=source, original=original_of(name, kind))
    if what == "unread":
        return replace(one, type="", disposition=Disposition.QUARANTINED, deliveries=())
    subjects = tuple(dict.fromkeys((user, anonymous)))
    if what == "old":
        unmatched = replace(one, disposition=Disposition.UNMATCHED, deliveries=())
        return replace(unmatched, received_at=NOW - OLD, subjects=subjects)
    return replace(one, subjects=subjects, learned=(LEARNED,) if what == "taught" else ())


def original_of(name: str, kind: Kinds) -> bytes:
    user, anonymous, _, what = kind
    end = "" if what == "unread" else "}"
    return f'{{"name":"{name}","userId":"{user}","anonymousId":"{anonymous}"{end}'.encode()


@dataclass
class Model:
    """What should be there.

    Attributes:
        kept: by messageId, each event.
        gone: those that were erased.
    """

    kept: dict[str, Kinds] = field(default_factory=dict)
    gone: dict[str, Kinds] = field(default_factory=dict)

    def forget(self, users: frozenset[str], source: str | None) -> int:
        """How many that were."""
        theirs = {
            name: kind
            for name, kind in self.kept.items()
            if not users.isdisjoint(kind[:2]) and source in {None, kind[2]}
        }
        self.gone |= theirs
        self.kept = {name: kind for name, kind in self.kept.items() if name not in theirs}
        return len(theirs)

    def sweep(self) -> None:
        """What is old goes."""
        self.kept = {name: kind for name, kind in self.kept.items() if kind[3] != "old"}


@dataclass
class Life:
    """A database, and what it should hold."""

    engine: Engine
    store: Store
    model: Model = field(default_factory=Model)
    claims: list[ClaimedDelivery] = field(default_factory=list)
    keys: int = 1
    now: datetime = NOW

    async def step(self, kind: str, value: object) -> None:
        """Whatever STEPS says."""
        self.now += 2 * LEASE
        match kind, value:
            case "append", list():
                await self.append(cast("list[Kinds]", value))
            case "claim", int():
                self.claims += await self.store.claim("tiktok", value, LEASE, self.now)
            case "end", State():
                await self.end(value)
            case "replay", bool():
                await self.replay(await self.events(), meanwhile=frozenset("u") if value else None)
            case "all at once", str():
                await self.all_at_once(value)
            case _:
                await self.rarer_step(kind, value)

    async def rarer_step(self, kind: str, value: object) -> None:
        """The others."""
        match kind, value:
            case "forget", frozenset():
                await self.forget(value, None)
                assert await self.store.remembered("default", sorted(value), self.now) == {}
            case "forget here", str():
                await self.forget(frozenset({value}), "other")
            case "sweep", _:
                await self.sweep()
            case "change the key", _:
                await self.change_the_key()
            case "copy", _:
                copies = [new_event(*pair) for pair in self.model.gone.items()]
                assert not any((await self.store.append(copies)).fresh)
            case _:
                raise AssertionError(kind)

    async def append(self, kinds: list[Kinds]) -> None:
        """New events."""
        new = {f"{self.now}-{n}": one for n, one in enumerate(kinds)}
        await self.store.append([new_event(*pair) for pair in new.items()])
        self.model.kept |= new

    async def end(self, state: State) -> None:
        """Of the youngest claim."""
        for claim in self.claims[-1:]:
            settlement = Settlement(claim.id, claim.fence, Transition(state, ENDS[state]))
            await self.store.settle([settlement], self.now)
        del self.claims[-1:]

    async def forget(self, users: frozenset[str], source: str | None) -> None:
        """As counted before, and as the model knows it."""
        counted = await self.store.forgettable(users, source, self.now)
        forgotten = await self.store.forget(users, source, self.now)
        assert counted == forgotten
        assert forgotten.events == self.model.forget(users, source)

    async def change_the_key(self) -> None:
        """A new one seals from now on; a restart is needed."""
        await self.store.close()
        self.keys = min(self.keys + 1, len(KEYS))
        self.store = await self.engine.open(*KEYS[: self.keys][::-1])

    async def replay(self, seen: list[KeptEvent], meanwhile: frozenset[str] | None) -> None:
        """Of what was seen before somebody was forgotten, nothing comes back."""
        requeues = [
            Requeue(one.id, one.deliveries[0].record)
            for one in seen
            if one.deliveries and one.deliveries[0].record.state is State.DEAD
        ]
        if meanwhile:
            await self.store.forget(meanwhile, None, self.now)
            self.model.forget(meanwhile, None)
        done = await self.store.requeue(requeues, self.now)
        there = {one.id for one in await self.events()}
        assert list(done) == [one.event in there for one in requeues]

    async def all_at_once(self, user: str) -> None:
        """Twice, beside the sweep and claims; what comes meanwhile is whole or not there."""
        users, name = frozenset({user}), f"beside-{self.now}"
        late = {name: (user, user, "default", "taught")}
        _, claims, *_forgotten, _ = await asyncio.gather(
            self.sweep(),
            self.store.claim("tiktok", 3, LEASE, self.now),
            self.store.forget(users, None, self.now),
            self.store.forget(users, "default", self.now),
            self.store.append([new_event(*pair) for pair in late.items()]),
        )
        self.claims += claims
        self.model.forget(users, None)
        is_there = name in {one.message_id for one in await self.events()}
        (self.model.kept if is_there else self.model.gone).update(late)
        assert is_there or await self.store.remembered("default", [user], NOW) == {}

    async def sweep(self) -> None:
        """To its end."""
        while not (await self.store.sweep(Retention(), NOW)).is_done:
            pass
        self.model.sweep()

    async def events(self) -> list[KeptEvent]:
        """All that the store says it keeps."""
        return [*(await self.store.select(Selection(), 0, 1_000)).events]

    async def check(self) -> None:
        """The store against the model."""
        found = {one.message_id: one.original for one in await self.events()}
        kept = self.model.kept
        assert found == {name: original_of(name, kind) for name, kind in kept.items()}
        totals = await self.store.totals()
        assert sum(totals.events.values()) == len(kept)
        sent = [kind for kind in kept.values() if kind[3] in {"planned", "taught"}]
        assert sum(totals.deliveries.values()) == len(sent)
        assert not [name for name in await self.sealed() if name in self.model.gone]

    async def sealed(self) -> list[str]:
        """The events of which bytes stand in the database, read past the store."""
        sealer, chunks = Sealer(KEYS), await self.engine.originals()
        return [one.message_id for chunk in chunks for one in open_originals(chunk, sealer)]


async def lived(engine: Engine, steps: list[tuple[str, object]]) -> AsyncIterator[Life]:
    """The life after each of these steps, and once more at its end."""
    life = Life(engine, await engine.open())
    for step in steps:
        await life.step(*step)
        yield life
    late = NOW + timedelta(days=1)
    await life.store.settle([delivered(one) for one in life.claims], late)
    for claim in await life.store.claim("tiktok", 1_000, LEASE, late):
        assert claim.message_id in life.model.kept
    await life.store.forget(frozenset(NAMES), None, late)
    life.model.forget(frozenset(NAMES), None)
    assert life.model.kept == {}
    yield life


@pytest.mark.parametrize("kind", ENGINES)
@settings(max_examples=15, deadline=timedelta(seconds=30))
@given(steps=STEPS)
def test_the_forgotten_are_gone_and_nobody_else_is(
    kind: str, steps: list[tuple[str, object]]
) -> None:
    with TemporaryDirectory() as folder:
        engine = new_engine(kind, Path(folder))

        async def main() -> None:
            try:
                async for life in lived(engine, steps):
                    await life.check()
            finally:
                await engine.close()

        asyncio.run(main())
