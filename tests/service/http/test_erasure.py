"""Erasing users: in rounds, in time, and never everybody."""

from __future__ import annotations

import asyncio
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

import orjson
import pytest

from conversion_relay.core.decoding import Decoded, Reread, Unusable
from conversion_relay.core.values import Json
from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.http.erasure import Erasure, named_by
from conversion_relay.service.http.problems import Problem
from conversion_relay.service.http.signature import Credentials
from conversion_relay.service.http.sources import Source
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.store.port import Forgotten, Store
from support.lines import Lines
from support.time import START

SOURCE = Source("shop", Credentials((b"secret",)), ())
OTHER = Source("blog", Credentials((b"secret",)), ())
Asked = list[tuple[AbstractSet[str], str | None]]


@dataclass
class Forgetful:
    """A store that notes whom it shall forget; it can fail, or wait to be let go on."""

    error: Exception | None = None
    asked: Asked = field(default_factory=list)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    async def forget(
        self, users: AbstractSet[str], source: str | None, now: datetime
    ) -> Forgotten:
        """See Store."""
        assert now == START
        self.asked.append((frozenset(users), source))
        await self.may_end.wait()
        if self.error:
            raise self.error
        return Forgotten(events=len(users))


def quick(error: Exception | None = None) -> Forgetful:
    store = Forgetful(error)
    store.may_end.set()
    return store


def erasure(store: Forgetful, log: Lines | None = None, patience: float = 60.0) -> Erasure:
    return Erasure(cast("Store", store), lambda: START, Metrics(), log or Lines(), patience)


def decoded(value: Json) -> Decoded:
    return Decoded(value, orjson.dumps(value).decode())


@pytest.mark.parametrize(
    ("value", "users"),
    [
        ({"type": "delete", "userId": "u", "anonymousId": "a"}, ("u", "a")),
        ({"type": "delete", "userId": "u", "anonymousId": "u"}, ("u",)),
        ({"type": "delete", "userId": 5}, ("5",)),
        ({"type": "delete", "anonymousId": "a", "previousId": "p"}, ("a",)),
        ({"type": "delete"}, ()),
        ({"type": "delete", "userId": "", "anonymousId": " "}, ()),
        ({"type": "delete", "userId": None, "anonymousId": {"a": "b"}}, ()),
        ({"type": "delete", "userId": True, "anonymousId": ["a"]}, ()),
        ({"type": "track", "event": "delete", "userId": "u"}, ()),
        ({"type": "Delete", "userId": "u"}, ()),
        ({"type": ["delete"], "userId": "u"}, ()),
        (["delete", "u"], ()),
    ],
)
def test_whom_an_event_wants_to_be_forgotten(value: Json, users: tuple[str, ...]) -> None:
    assert named_by(decoded(value)) == users
    assert named_by(Reread(orjson.dumps(value).decode())) == users


def test_what_cannot_be_read_names_nobody() -> None:
    assert named_by(Unusable("no JSON", '{"type":"delete","userId":"u"')) == ()


async def test_all_of_a_request_are_forgotten_at_once_of_its_source_alone() -> None:
    store = quick()
    assert await erasure(store).obey(SOURCE, {"a", "b"}) is None
    assert store.asked == [({"a", "b"}, "shop")]


async def test_who_comes_meanwhile_is_forgotten_together() -> None:
    """A list of thousands is one round for what came first and one for all the others."""
    store, log = Forgetful(), Lines()
    here = erasure(store, log)
    first = asyncio.create_task(here.obey(SOURCE, {"u0"}))
    await asyncio.sleep(0)
    others = [asyncio.create_task(here.obey(SOURCE, {f"u{n}"})) for n in range(1, 50)]
    elsewhere = asyncio.create_task(here.obey(OTHER, {"u7"}))
    while len(store.asked) < 2:  # noqa: ASYNC110 - two tasks begin
        await asyncio.sleep(0)
    store.may_end.set()
    assert await asyncio.gather(first, elsewhere, *others) == [None] * 51
    assert store.asked == [
        ({"u0"}, "shop"),
        ({"u7"}, "blog"),
        ({f"u{n}" for n in range(1, 50)}, "shop"),
    ]
    told = [details["users"] for _, name, details in log.lines if name == "user.forgotten"]
    assert sorted(map(str, told)) == ["1", "1", "49"]
    assert b'relay_users_forgotten_total{by="event"} 51.0' in here.metrics.exposition()


async def test_what_takes_too_long_is_answered_in_time_and_goes_on() -> None:
    store, log = Forgetful(), Lines()
    here = erasure(store, log, patience=0.0)
    problem = await here.obey(SOURCE, {"u"})
    assert isinstance(problem, Problem)
    assert (problem.status, problem.slug) == (503, "not-erased")
    assert "Retry-After" in problem.headers
    here.patience_seconds = 60.0
    again = asyncio.create_task(here.obey(SOURCE, {"u"}))
    await asyncio.sleep(0)
    store.may_end.set()
    assert await again is None
    assert log.events == ["user.forgotten", "user.forgotten"]


async def test_only_so_many_wait() -> None:
    store = Forgetful()
    here = erasure(store, patience=0.0)
    await here.obey(SOURCE, {"u"})
    await asyncio.sleep(0)
    await here.obey(SOURCE, {f"u{n}" for n in range(12_000)})
    await here.obey(SOURCE, {f"v{n}" for n in range(12_000)})
    store.may_end.set()
    here.patience_seconds = 60.0
    assert await here.obey(OTHER, {"w"}) is None
    assert [len(users) for users, source in store.asked if source == "shop"] == [1, 12_000]


async def test_where_everybody_may_post_nobody_is_forgotten() -> None:
    store = quick()
    everybody = Source("open", Credentials(open_to_all=True), ())
    assert await erasure(store).obey(everybody, {"u"}) is None
    assert store.asked == []


@pytest.mark.parametrize("word", ["null", "undefined", "0", " NULL ", "anonymous", "\u2003"])
async def test_an_id_that_many_have_erases_nobody(word: str) -> None:
    """Faulty pages send such words as the id of all their visitors."""
    store, log = quick(), Lines()
    assert await erasure(store, log).obey(SOURCE, {word}) is None
    assert store.asked == []
    assert await erasure(store, log).obey(SOURCE, {word, "u"}) is None
    assert store.asked == [({"u"}, "shop")]
    assert log.events == ["user.not_somebody", "user.not_somebody", "user.forgotten"]


@pytest.mark.parametrize("error", [StoreUnavailable("the disk fails"), KeyError("secret-3")])
async def test_what_could_not_be_erased_is_sent_again(error: Exception) -> None:
    log, store = Lines(), quick(error)
    here = erasure(store, log)
    problem = await here.obey(SOURCE, {"secret-1", "secret-2"})
    assert isinstance(problem, Problem)
    assert (problem.status, problem.slug) == (503, "not-erased")
    assert log.events == ["user.not_forgotten"]
    assert "secret" not in str(log.lines) + problem.detail
    store.error = None
    assert await here.obey(SOURCE, {"secret-1"}) is None


async def test_an_operator_is_told_of_a_store_that_fails() -> None:
    with pytest.raises(StoreUnavailable):
        await erasure(quick(StoreUnavailable("the disk fails"))).ask("u", None)
