"""Configuration that changes while the service runs: what is bad never takes effect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from conversion_relay.core.lane import Condition
from conversion_relay.sandbox import parse_fault
from conversion_relay.service.reload.steps import Ask, Result, Step
from support.changing import MAPPINGS, TOML, Changing, changing, opened, write_files
from support.events import order
from support.lines import Lines

STRICT = TOML.replace('"mappings.json"\n[', '"mappings.json"\non_invalid_field = "reject"\n[')


@dataclass(frozen=True, slots=True)
class Bad:
    """A change that must not take effect.

    Attributes:
        change: makes it.
        step: that finds it.
        says: parts of the sentences that explain it: the place, and the reason.
    """

    change: Callable[[Changing], None]
    step: Step
    says: tuple[str, ...]


def _toml(old: str, new: str) -> Callable[[Changing], None]:
    return lambda world: world.toml(old, new)


def _mapping(**parts: object) -> Callable[[Changing], None]:
    """Changes the mapping of Place an Order; the others stay as they are."""

    def change(world: Changing) -> None:
        content = orjson.loads(MAPPINGS.read_bytes())
        entries = content["presets"] if isinstance(content, dict) else content
        entry = next(one for one in entries if one["name"] == "Place an Order")
        for key, value in parts.items():
            if isinstance(value, dict):
                entry[key] |= value
            else:
                entry[key] = value
        world.write("mappings.json", orjson.dumps(content).decode())

    return change


def _bad_token(world: Changing) -> None:
    world.write("token", "a-revoked-token")


def _refused_pixel(world: Changing) -> None:
    world.sandbox.faults.switch_on([parse_fault("code=40104,count=1")])
    world.toml('"PIXEL"', '"FOREIGN"')


def _no_token(world: Changing) -> None:
    world.toml("file:token", "file:gone")


def _half_written(world: Changing) -> None:
    (world.folder / "relay.toml").write_text(TOML[: TOML.index("pixel_code")] + "pixel_co")


BAD: Mapping[str, Bad] = {
    "no TOML": Bad(_toml("[sources.web]", "[sources.web"), Step.LOAD, ("relay.toml:5", "TOML")),
    "half-written file": Bad(_half_written, Step.LOAD, ("relay.toml:", "TOML")),
    "unknown key": Bad(
        _toml("pixel_code =", "pixel_cod ="), Step.LOAD, ("destinations.eu.pixel_cod", "did you")
    ),
    "missing secret": Bad(
        _no_token, Step.LOAD, ("destinations.eu.access_token", "cannot be read")
    ),
    "unset variable": Bad(
        _toml("env:BEARER", "env:BEARRER"), Step.LOAD, ("sources.web", "BEARRER", "not set")
    ),
    "missing preset": Bad(
        _toml('mappings = "mappings.json"\n[', 'presets = "tiktok-conversion"\n['),
        Step.LOAD,
        ("destinations.eu.presets", "there is no preset file"),
    ),
    "unknown directive": Bad(
        _mapping(mapping={"value": {"@pat": "$.properties.revenue"}}),
        Step.LOAD,
        ("destinations.eu.mappings", "Place an Order", "@pat"),
    ),
    "unreadable trigger": Bad(
        _mapping(subscribe='event == "Order Completed"'),
        Step.LOAD,
        ("destinations.eu.mappings", "Place an Order", "column"),
    ),
    "one write key for two": Bad(
        _toml('bearer_tokens = ["env:BEARER"]', 'write_keys = ["env:KEY"]'),
        Step.LOAD,
        ("write key",),
    ),
    "foreign host": Bad(
        _toml('api_url = "SANDBOX"', 'api_url = "https://tiktok.example"'),
        Step.LOAD,
        ("destinations.eu.api_url", "allow_any_api_host"),
    ),
    "refused token": Bad(_bad_token, Step.VERIFY, ("destination eu", "40105")),
    "refused pixel": Bad(_refused_pixel, Step.VERIFY, ("destination eu", "40104")),
    "mapping that rejects": Bad(
        _mapping(mapping={"value": {"@path": "$.properties.order_id"}}),
        Step.TRIAL,
        ("eu", "Place an Order"),
    ),
    "trigger that matches nothing": Bad(
        _mapping(subscribe='event = "Order Complete"'), Step.TRIAL, ("destination eu", "then none")
    ),
}
"""By what is wrong with it."""


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_configuration_never_takes_effect(tmp_path: Path, name: str) -> None:
    bad = BAD[name]
    async with changing(tmp_path, STRICT if bad.step is Step.TRIAL else TOML) as world:
        assert await world.post(order("before")) == 200
        await world.arrived(2)
        running = world.reloader.running
        bad.change(world)
        await world.look(1)
        assert world.reloader.standing is None, "seen once, it may be half-written"
        await world.look(1)
        refused = world.reloader.standing
        assert refused is not None
        assert {one.step for one in refused.problems} == {bad.step}
        words = "\n".join(one.sentence for one in refused.problems)
        assert all(part in words for part in bad.says), words
        assert world.reloader.running is running
        await world.look(3)
        assert world.log.events.count("configuration.refused") == 1, "it is told once"
        assert await world.post(order("after")) == 200
        arrived = await world.arrived(4)
        assert {one.event_source_id for one in arrived} == {"PIXEL", "PIXEL-US"}
        assert "configuration.adopted" not in world.log.events
        answer = (await world.admin("GET", "/api/config")).json()
        assert answer["refused"]["problems"]
        assert "a-revoked-token" not in str(world.log.lines) + str(answer)


async def test_a_destination_cannot_go_while_events_wait_for_it(tmp_path: Path) -> None:
    async with changing(tmp_path) as world:
        await world.post(order("before"))
        await world.arrived(2)
        world.sandbox.faults.switch_on([parse_fault("server_error=503")])
        await world.post(order("waiting"))
        us = TOML[TOML.index("[destinations.us]") :]
        world.toml(us, "")
        found = await world.reloader.reload(Ask("api"))
        assert found.result is Result.REFUSED
        assert Step.CHECK in {one.step for one in found.problems}
        assert "destination us is removed or renamed while 1 deliveries" in str(found.problems)
        world.sandbox.faults.switch_off()
        taken = await world.reloader.reload(Ask("api", accept=True))
        assert taken.result is Result.ADOPTED
        assert sorted(world.relay.workers) == ["eu"]
        world.toml()
        assert (await world.reloader.reload(Ask("api"))).result is Result.ADOPTED
        arrived = await world.arrived(4)
        assert (len(arrived), {one.copies for one in arrived}) == (4, {0})


async def test_the_files_take_effect_once_they_are_good_again(tmp_path: Path) -> None:
    async with changing(tmp_path) as world:
        world.toml("[sources.web]", "[sources.web")
        await world.look()
        assert world.reloader.standing is not None
        world.toml()
        await world.look(1)
        assert world.reloader.standing is None
        world.toml('"PIXEL-US"', '"PIXEL-CA"')
        await world.look()
        assert await world.post(order("m-1")) == 200
        assert {one.event_source_id for one in await world.arrived(2)} == {"PIXEL", "PIXEL-CA"}
        assert world.log.events.count("configuration.adopted") == 1


async def test_silence_keeps_what_runs_and_is_tried_again(tmp_path: Path) -> None:
    async with changing(tmp_path) as world:
        world.sandbox.faults.switch_on([parse_fault("server_error=503")])
        world.toml('"PIXEL-US"', '"PIXEL-CA"')
        await world.look()
        assert world.log.events[-1] == "configuration.waiting"
        answer = await world.admin("POST", "/api/config/reload")
        assert answer.status_code == 503
        assert answer.json()["type"].endswith("configuration-waiting")
        world.sandbox.faults.switch_off()
        await world.look(6)
        assert "configuration.adopted" not in world.log.events, "it rests for a while"
        await world.look(1)
        assert world.reloader.running.configuration.destinations["us"].pixel_code == "PIXEL-CA"


async def test_a_lane_that_waits_for_a_token_gets_it_though_nobody_answers(tmp_path: Path) -> None:
    async with changing(tmp_path) as world:
        world.sandbox.access_tokens = frozenset({"other-token"})
        await world.post(order("m-1"))
        async with asyncio.timeout(20):
            while world.relay.workers["eu"].lane.condition is not Condition.HELD:  # noqa: ASYNC110 - a lane has no other sign
                await asyncio.sleep(0.01)
            while world.relay.workers["us"].lane.condition is not Condition.HELD:  # noqa: ASYNC110 - the same
                await asyncio.sleep(0.01)
        world.sandbox.faults.switch_on([parse_fault("server_error=503,count=4")])
        world.write("token", "other-token")
        await world.look(1)
        assert {one.event_id for one in await world.arrived(2)} == {"m-1"}


async def test_what_only_a_start_takes_is_named(tmp_path: Path) -> None:
    async with changing(tmp_path) as world:
        world.toml("[sources.web]", 'port = 9999\nretention = "9d"\n[sources.web]')
        answer = (await world.admin("POST", "/api/config/reload")).json()
        assert (answer["result"], answer["needsRestart"]) == ("adopted", ["service.port"])
        shown = (await world.admin("GET", "/api/config")).json()
        assert shown["needsRestart"] == ["service.port"]


async def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    async with changing(tmp_path) as world:
        await world.post(order("m-1"))
        await world.arrived(2)
        world.toml('"PIXEL-US"', '"PIXEL-CA"')
        answer = (await world.admin("POST", "/api/config/reload", dry_run=True)).json()
        assert (answer["result"], answer["dryRun"], answer["version"]) == ("adopted", True, 1)
        assert '+ destinations.us.pixel_code = "PIXEL-CA"' in answer["difference"]
        assert world.reloader.running.configuration.destinations["us"].pixel_code == "PIXEL-US"
        assert "configuration.adopted" not in world.log.events


async def test_a_rollback_outlives_restarts_until_the_files_change(tmp_path: Path) -> None:
    async with changing(tmp_path) as world:
        api_url = world.api_url
        world.toml('"PIXEL-US"', '"PIXEL-CA"')
        assert (await world.admin("POST", "/api/config/reload")).status_code == 200
        answer = await world.admin("POST", "/api/config/rollback", version=1)
        assert answer.json()["result"] == "adopted"
        await world.look(4)
        assert (await world.admin("GET", "/api/config")).json()["rolledBack"]
        assert (await world.admin("POST", "/api/config/rollback", version=99)).status_code == 404
    changed = TOML.replace("PIXEL-US", "PIXEL-CA")
    files, log = write_files(tmp_path, api_url, changed), Lines()
    async with opened(files, log) as relay:
        assert relay.configuration.destinations["us"].pixel_code == "PIXEL-US"
        assert log.events[0] == "configuration.rolled_back"
    other = write_files(tmp_path, api_url, changed.replace("PIXEL-CA", "PIXEL-MX"))
    async with opened(other, Lines()) as relay:
        assert relay.configuration.destinations["us"].pixel_code == "PIXEL-MX"


async def test_sources_routes_tokens_and_limits_change_together(tmp_path: Path) -> None:
    async with changing(tmp_path) as world:
        assert await world.post(order("m-1"), source="late") == 404
        world.toml(
            "[sources.shop]",
            '[sources.late]\nbearer_tokens = ["env:BEARER"]\ndestinations = ["us"]\n'
            "[sources.shop]",
        )
        assert (await world.admin("POST", "/api/config/reload")).status_code == 200
        assert await world.post(order("m-1"), source="late") == 200
        assert {one.event_source_id for one in await world.arrived(1)} == {"PIXEL-US"}
        world.toml('admin_token = "env:ADMIN"', 'admin_token = "env:KEY2"')
        assert (await world.admin("POST", "/api/config/reload")).status_code == 409


async def test_versions_are_shown_without_secrets(tmp_path: Path) -> None:
    async with changing(tmp_path) as world:
        world.toml('"PIXEL-US"', '"PIXEL-CA"')
        await world.admin("POST", "/api/config/reload")
        listed = (await world.admin("GET", "/api/config/versions")).json()["versions"]
        assert [(one["id"], one["cause"], one["runs"]) for one in listed] == [
            (2, "api", True),
            (1, "start", False),
        ]
        shown = await world.admin("GET", "/api/config/versions/1")
        assert shown.json()["sinceThen"] == [
            '- destinations.us.pixel_code = "PIXEL-US"',
            '+ destinations.us.pixel_code = "PIXEL-CA"',
        ]
        assert not any(one in shown.text for one in ("access-token", '"bearer"', "write-key"))


async def test_a_request_ends_with_the_source_it_began_with(tmp_path: Path) -> None:
    content = orjson.dumps([order("m-1")])
    web = TOML[TOML.index("[sources.web]") : TOML.index("[sources.shop]")]
    async with changing(tmp_path) as world:

        async def body() -> AsyncIterator[bytes]:
            yield content[:10]
            world.toml(web, "")
            reloaded = await world.reloader.reload(Ask("api", accept=True))
            assert reloaded.result is Result.ADOPTED
            yield content[10:]

        headers = {"Authorization": "Bearer bearer"}
        answer = await world.client.post("/webhook/web", content=body(), headers=headers)
        assert (answer.status_code, answer.json()["planned"]) == (200, 1)
        assert len(await world.arrived(2)) == 2
        assert await world.post(order("m-2")) == 404
