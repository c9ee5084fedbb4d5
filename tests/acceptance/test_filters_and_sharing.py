"""What an event forbids is not sent, what the owner keeps back stands nowhere; both can change."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

from conversion_relay.core.values import Json, JsonObject
from conversion_relay.errors import ConfigurationError
from support.events import order
from support.running import ADMIN, World, bodies, world

TOKEN = {"Authorization": f"Bearer {ADMIN}"}
SOURCE = """
[sources.default]
signing_secrets = ["env:SEGMENT_SHARED_SECRET"]
bearer_tokens = ["env:RELAY_BEARER_TOKEN"]
"""
CONSENT = 'consent_categories = ["advertising"]\n'


def configured(**destinations: str) -> str:
    """A configuration with these destinations; of each, its further settings."""
    tables = (
        f'[destinations.{name}]\npixel_code = "{name}"\napi_url = "SANDBOX"\n'
        f'access_token = "env:TIKTOK_ACCESS_TOKEN"\n{settings}'
        for name, settings in destinations.items()
    )
    return SOURCE + "\n".join(tables)


@asynccontextmanager
async def relay(folder: Path, **destinations: str) -> AsyncIterator[World]:
    async with world(folder, toml=configured(**destinations)) as here:
        yield here


def consenting(message_id: str, answer: Json) -> JsonObject:
    return order(message_id, context={"consent": {"categoryPreferences": {"advertising": answer}}})


async def pixels(here: World) -> list[tuple[str, str | None]]:
    """The pixel and the id of every conversion that counts."""
    return sorted((one.event_source_id, one.event_id) for one in await here.settled())


async def replayed(here: World, **form: object) -> dict[str, int]:
    asked = {"state": ["filtered"], "dry_run": False, **form}
    answer = await here.client.post("/api/replays", json=asked, headers=TOKEN)
    return {one["fate"]: one["count"] for one in answer.raise_for_status().json()["counts"]}


async def test_every_event_goes_where_it_and_its_user_allow(tmp_path: Path) -> None:
    posted: list[Json] = [
        order("m-plain"),
        order("m-all", integrations={"All": False}),
        order("m-eu", integrations={"All": False, "EU": {"ttclid": "click-eu"}}),
        order("m-title", integrations={"tiktok conversions": False}),
        consenting("m-yes", answer=True),
        consenting("m-no", answer=False),
        consenting("m-odd", answer="true"),
    ]
    async with relay(tmp_path, eu="", us=CONSENT) as here:
        answer = (await here.post(posted)).json()
        assert (answer["planned"], answer["suppressed"], answer["accepted"]) == (5, 2, 7)
        assert await pixels(here) == [
            ("eu", "m-eu"),
            ("eu", "m-no"),
            ("eu", "m-odd"),
            ("eu", "m-plain"),
            ("eu", "m-yes"),
            ("us", "m-yes"),
        ]
        metrics = (await here.client.get("/metrics")).text
        for field, destination, count in (
            ("integrations", "eu", 2),
            ("integrations", "us", 0),
            ("context.consent", "us", 6),
        ):
            labels = f'destination="{destination}",field="{field}",mapping="Place an Order"'
            labels = f'{labels},source="default"'
            sample = f"relay_mapping_suppressions_total{{{labels}}} {count}.0"
            assert (sample in metrics) == bool(count), sample


async def test_what_was_held_back_is_listed_and_goes_when_the_setting_allows_it(
    tmp_path: Path,
) -> None:
    async with relay(tmp_path, eu="", us=CONSENT) as here:
        await here.post([order("m-1"), order("m-2", integrations={"All": False})])
        assert await pixels(here) == [("eu", "m-1")]
        listing = await here.client.get("/api/events", params={"state": "filtered"}, headers=TOKEN)
        partly, wholly = listing.raise_for_status().json()["events"]
        assert (partly["disposition"], wholly["disposition"]) == ("planned", "suppressed")
        assert partly["suppressions"] == [
            "us: Place an Order: context.consent: is missing, and consent is required"
        ]
        assert len(wholly["suppressions"]) == 2
        assert await replayed(here) == {"already_delivered": 1, "suppressed": 3}
        assert await replayed(here, source="original", state=["suppressed"]) == {
            "already_delivered": 1,
            "suppressed": 3,
        }
        status = (await here.status())["events"]
        assert (status["planned"], status["suppressed"]) == (1, 1)
    async with relay(tmp_path, eu="", us=CONSENT + 'consent_when_missing = "send"\n') as here:
        assert await replayed(here, dry_run=True) == {
            "already_delivered": 1,
            "sent": 1,
            "suppressed": 2,
        }
        assert await replayed(here) == {"already_delivered": 1, "sent": 1, "suppressed": 2}
        assert await pixels(here) == [("us", "m-1")]
        assert await replayed(here) == {"already_delivered": 2, "suppressed": 2}
    async with relay(tmp_path, eu="", us=CONSENT) as here:
        assert await replayed(here, dry_run=True) == {"already_delivered": 1, "suppressed": 3}
        assert await replayed(here) == {"already_delivered": 1, "suppressed": 3}


async def test_such_events_have_no_body_to_be_sent_as_it_was(tmp_path: Path) -> None:
    async with relay(tmp_path, us=CONSENT) as here:
        await here.post(order("m-1"))
        form = {"state": ["filtered"], "source": "as_sent"}
        answer = await here.client.post("/api/replays", json=form, headers=TOKEN)
        assert answer.status_code == 422
        assert await replayed(here, state=["suppressed"], source="as_sent") == {}


SHARING = """
[destinations.eu.sharing]
leave_out = ["user.phone", "properties.contents.content_name", "user.ttclid"]
hash = ["properties.query"]
strip_url_parameters = ["mail"]
truncate_ip = true
limited_data_use = "by_region"
limited_data_use_regions = ["DE"]
"""


async def test_only_what_the_owner_shares_arrives_and_stands_in_a_body(tmp_path: Path) -> None:
    event = order("m-1")
    context = event["context"]
    assert isinstance(context, dict)
    context["page"] = {"url": "https://lena@shop.example.com/a?ttclid=click-1&mail=l%40e.com&b=1"}
    async with relay(tmp_path, eu=SHARING) as here:
        await here.post(event)
        assert await pixels(here) == [("eu", "m-1")]
        (body,) = bodies(here.sandbox)
    user, properties = body["user"], body["properties"]
    assert isinstance(user, dict)
    assert isinstance(properties, dict)
    assert {"phone", "ttclid"}.isdisjoint(user)
    assert user["ip"] == "203.0.113.0"
    assert properties["query"] == hashlib.sha256(b"lamp").hexdigest()
    assert body["page"] == {"url": "https://shop.example.com/a?b=1"}
    assert body["limited_data_use"] is True
    raw = orjson.dumps(body).decode()
    assert all(secret not in raw for secret in ("click-1", "l%40e.com", "lena@", "Lamp"))


async def test_what_cannot_be_shared_stops_the_start_with_every_problem(tmp_path: Path) -> None:
    broken = '[destinations.eu.sharing]\nleave_out = ["event", "user.emial"]\nhash = ["user.ip"]\n'
    with pytest.raises(ConfigurationError) as caught:
        async with relay(tmp_path, eu=broken):
            pass
    message = str(caught.value)
    for words in (
        'destinations.eu.sharing.leave_out: "event" cannot be left out',
        'did you mean "user.email"?',
        'destinations.eu.sharing.hash: "user.ip" cannot be hashed',
    ):
        assert words in message


async def test_where_settings_leave_nobody_the_events_go(tmp_path: Path) -> None:
    nobody = '[destinations.eu.sharing]\nleave_out = ["user"]\n'
    async with relay(tmp_path, eu=nobody) as here:
        await here.post(order("m-1"))
        assert await pixels(here) == [("eu", "m-1")]
        assert bodies(here.sandbox)[0]["user"] == {}
