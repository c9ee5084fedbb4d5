"""What an identify tells is in later conversions of that person, and nowhere else."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from conversion_relay.core.values import Json, JsonObject
from conversion_relay.sandbox import Sandbox, create_sandbox, parse_fault
from conversion_relay.sandbox import running as running_sandbox
from conversion_relay.service.app import Outside, now, open_relay
from conversion_relay.service.configuration import load
from conversion_relay.service.settings import Configuration
from support.events import order
from support.lines import Lines
from support.running import ADMIN, World, bodies, environment

SOURCES = {"default": True, "other": True, "plain": False}
"""Whether it remembers match keys."""
LASTS = timedelta(days=30)
AS_ADMIN = {"Authorization": f"Bearer {ADMIN}"}


def digest(text: str) -> list[Json]:
    return [sha256(text.encode()).hexdigest()]


EMAIL, PHONE = digest("lena@example.com"), digest("+49301234567")


def identify(message_id: str, **ids: str) -> JsonObject:
    traits: JsonObject = {"email": " Lena@Example.com ", "phone": "+49 30 1234567"}
    return {"type": "identify", "messageId": message_id, "traits": traits, **ids}


def bare_order(message_id: str, **ids: str) -> JsonObject:
    """An order that says of its buyer only these ids."""
    event = order(message_id)
    del event["userId"], event["anonymousId"]
    assert isinstance(event["context"], dict)
    del event["context"]["traits"]
    return event | ids


def configured(folder: Path, api_url: str, **sharing: object) -> Configuration:
    """Three sources, of which two remember."""
    found = load(environment(folder, api_url))
    (source,), (name, destination) = found.sources.values(), *found.destinations.items()
    sources = {
        one: source.model_copy(update={"match_keys": remembers})
        for one, remembers in SOURCES.items()
    }
    shared = destination.sharing.model_copy(update=sharing)
    destinations = {name: destination.model_copy(update={"sharing": shared})}
    return found.model_copy(update={"sources": sources, "destinations": destinations})


@pytest.fixture
async def sandbox() -> AsyncIterator[tuple[Sandbox, str]]:
    """With its address; it outlives the service."""
    ticks = itertools.count(1_795_000_000)
    stand_in = create_sandbox(clock=lambda: float(next(ticks)) / 1000)
    async with running_sandbox(stand_in) as api_url:
        yield stand_in, api_url


@asynccontextmanager
async def relay(
    folder: Path,
    sandbox: tuple[Sandbox, str],
    later: timedelta = timedelta(),
    **sharing: object,
) -> AsyncIterator[World]:
    """The service on that folder, so much later; it can be opened again and again."""
    stand_in, api_url = sandbox
    outside, log = Outside(clock=lambda: now() + later), Lines()
    configuration = configured(folder, api_url, **sharing)
    async with open_relay(configuration, log, outside) as opened, opened.delivering():
        transport = httpx.ASGITransport(app=opened.http)
        async with httpx.AsyncClient(transport=transport, base_url="http://relay") as client:
            yield World(opened, stand_in, client, log)


async def post(here: World, *events: Json, source: str = "default") -> None:
    answer = await here.post(list(events), path=f"/webhook/{source}")
    assert answer.json()["accepted"] == len(events)
    await here.settled()


def users(here: World) -> dict[Json, Mapping[str, Json]]:
    """What the sandbox was told of the person of each event, by event_id."""
    found: dict[Json, Mapping[str, Json]] = {}
    for body in bodies(here.sandbox):
        assert isinstance(body["user"], dict)
        found[body["event_id"]] = body["user"]
    return found


async def report(here: World, **days: str) -> dict[str, tuple[int, int]]:
    answer = await here.client.get("/api/match-keys", params=days, headers=AS_ADMIN)
    (shown,) = answer.raise_for_status().json()["destinations"]
    counts = {one["key"]: (one["before"], one["after"]) for one in (*shown["keys"], shown["none"])}
    return counts | {"conversions": (shown["conversions"],) * 2}


@pytest.mark.parametrize("ids", [{"userId": "buyer-1"}, {"anonymousId": "visitor-1"}])
async def test_an_order_without_address_arrives_with_it(
    tmp_path: Path, sandbox: tuple[Sandbox, str], ids: dict[str, str]
) -> None:
    async with relay(tmp_path, sandbox) as here:
        await post(here, identify("i-1", userId="buyer-1", anonymousId="visitor-1"))
        await post(here, bare_order("o-1", **ids))
    async with relay(tmp_path, sandbox, LASTS - timedelta(hours=1)) as here:
        await post(here, bare_order("o-2", **ids))
        for user in (users(here)["o-1"], users(here)["o-2"]):
            assert (user["email"], user["phone"]) == (EMAIL, PHONE)
            assert user["external_id"] == digest(next(iter(ids.values())))
        assert await report(here, since="2026-01-01", until="2027-12-31") == {
            "email": (0, 2),
            "phone": (0, 2),
            "external_id": (2, 2),
            "ttclid": (2, 2),
            "ttp": (0, 0),
            "ip_and_user_agent": (2, 2),
            "none": (0, 0),
            "conversions": (2, 2),
        }


async def test_one_batch_teaches_and_is_filled_in_its_order(
    tmp_path: Path, sandbox: tuple[Sandbox, str]
) -> None:
    async with relay(tmp_path, sandbox) as here:
        before, after = (bare_order(name, userId="buyer-1") for name in ("o-1", "o-2"))
        await post(here, before, identify("i-1", userId="buyer-1"), after)
        assert "email" not in users(here)["o-1"]
        assert users(here)["o-2"]["email"] == EMAIL


async def test_what_an_order_says_itself_is_left_as_it_is(
    tmp_path: Path, sandbox: tuple[Sandbox, str]
) -> None:
    async with relay(tmp_path, sandbox) as here:
        await post(here, identify("i-1", userId="buyer-1"))
        said = bare_order("o-1", userId="buyer-1")
        said["context"] = {"traits": {"email": "work@example.com"}}
        await post(here, said)
        assert users(here)["o-1"]["email"] == digest("work@example.com")
        assert users(here)["o-1"]["phone"] == PHONE


@pytest.mark.parametrize("source", ["other", "plain"])
async def test_nothing_goes_from_source_to_source(
    tmp_path: Path, sandbox: tuple[Sandbox, str], source: str
) -> None:
    async with relay(tmp_path, sandbox) as here:
        await post(here, identify("i-1", userId="buyer-1"))
        await post(here, identify("i-2", userId="buyer-2"), source="plain")
        await post(here, bare_order("o-1", userId="buyer-1"), source=source)
        await post(here, bare_order("o-2", userId="buyer-2"), source="plain")
        for user in users(here).values():
            assert not {"email", "phone"} & user.keys()
        assert (await report(here))["email"] == (0, 0)


async def test_after_its_time_it_is_forgotten(
    tmp_path: Path, sandbox: tuple[Sandbox, str]
) -> None:
    async with relay(tmp_path, sandbox) as here:
        await post(here, identify("i-1", userId="buyer-1"))
    async with relay(tmp_path, sandbox, LASTS + timedelta(hours=1)) as here:
        await post(here, bare_order("o-1", userId="buyer-1"))
        assert "email" not in users(here)["o-1"]


@pytest.mark.parametrize("forgotten", ["buyer-1", "visitor-1"])
async def test_deletion_erases_it(
    tmp_path: Path, sandbox: tuple[Sandbox, str], forgotten: str
) -> None:
    async with relay(tmp_path, sandbox) as here:
        await post(here, identify("i-1", userId="buyer-1", anonymousId="visitor-1"))
        await post(here, identify("i-2", userId="buyer-2", anonymousId="visitor-2"))
        assert (await here.relay.store.forget({forgotten}, None, now())).match_keys
        await post(here, bare_order("o-1", userId="buyer-1"))
        await post(here, bare_order("o-2", anonymousId="visitor-1"))
        await post(here, bare_order("o-3", anonymousId="visitor-2"))
        found = users(here)
        assert "email" not in found["o-1"]
        assert "email" not in found["o-2"]
        assert found["o-3"]["email"] == EMAIL


async def test_a_shared_computer_does_not_mix_its_users(
    tmp_path: Path, sandbox: tuple[Sandbox, str]
) -> None:
    async with relay(tmp_path, sandbox) as here:
        await post(here, identify("i-1", userId="buyer-1", anonymousId="visitor-1"))
        await post(here, bare_order("o-1", userId="buyer-2", anonymousId="visitor-1"))
        await post(here, bare_order("o-2", anonymousId="visitor-1"))
    async with relay(tmp_path, sandbox) as here:
        await post(here, bare_order("o-3", anonymousId="visitor-1"))
        await post(here, bare_order("o-4", userId="buyer-1"))
        found = users(here)
        for name in ("o-1", "o-2", "o-3"):
            assert not {"email", "phone"} & found[name].keys(), name
        assert found["o-4"]["email"] == EMAIL


async def test_a_replay_is_filled_with_what_is_known_by_then(
    tmp_path: Path, sandbox: tuple[Sandbox, str]
) -> None:
    async with relay(tmp_path, sandbox) as here:
        here.sandbox.faults.switch_on([parse_fault("reject_event_id=o-1")])
        await post(here, bare_order("o-1", userId="buyer-1"))
        here.sandbox.faults.switch_off()
        await post(here, identify("i-1", userId="buyer-1"))
        asked = {"dry_run": False}
        answer = await here.client.post("/api/replays", json=asked, headers=AS_ADMIN)
        assert [one["fate"] for one in answer.json()["counts"]] == ["sent"]
        await here.settled()
        assert users(here)["o-1"]["email"] == EMAIL


async def test_what_is_not_to_be_shared_is_not_filled_in_either(
    tmp_path: Path, sandbox: tuple[Sandbox, str]
) -> None:
    async with relay(tmp_path, sandbox, leave_out=("user.email",)) as here:
        await post(here, identify("i-1", userId="buyer-1"))
        await post(here, bare_order("o-1", userId="buyer-1"))
        assert "email" not in users(here)["o-1"]
        assert users(here)["o-1"]["phone"] == PHONE
        counted = await report(here)
        assert (counted["email"], counted["phone"]) == ((0, 0), (0, 1))


@pytest.mark.parametrize(
    "days",
    [
        {"since": "2026-02-01", "until": "2026-01-01"},
        {"since": "yesterday"},
        {"until": "2026-13-01"},
        {"from": "2026-01-01"},
    ],
)
async def test_days_that_are_none_are_refused(
    tmp_path: Path, sandbox: tuple[Sandbox, str], days: dict[str, str]
) -> None:
    async with relay(tmp_path, sandbox) as here:
        answer = await here.client.get("/api/match-keys", params=days, headers=AS_ADMIN)
        assert (answer.status_code, answer.headers["content-type"]) == (
            422,
            "application/problem+json",
        )
        assert (await here.client.get("/api/match-keys")).status_code == 401
