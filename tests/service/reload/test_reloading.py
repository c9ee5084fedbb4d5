"""What a change goes through, and what comes of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from conversion_relay.core.destination import Verdict
from conversion_relay.service.reload.restarts import TAKEN_WHILE_RUNNING
from conversion_relay.service.reload.steps import Ask, Result, Step
from conversion_relay.service.settings import ServiceSettings
from support.reloads import Outer, begun, desk, since

API = Ask("api")
PIXEL = ('"PIXEL-US"', '"PIXEL-CA"')


async def test_a_good_change_takes_effect_and_is_kept(tmp_path: Path) -> None:
    found = await desk(tmp_path)
    found.toml(*PIXEL)
    reloaded = await found.reloader.reload(API)
    assert (reloaded.result, reloaded.version, found.pixel) == (Result.ADOPTED, 2, "PIXEL-CA")
    assert [one.cause for one in found.outer.kept] == ["start", "api"]
    assert found.outer.asked == [["us"]], "what did not change is not asked about"
    assert found.log.events == ["configuration.adopted"]


REFUSED = {
    "trial": (Outer(objections=("lost",)), Step.TRIAL),
    "partner": (Outer(verdict=Verdict.REFUSED), Step.VERIFY),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_objected_to_changes_nothing(tmp_path: Path, name: str) -> None:
    outer, step = REFUSED[name]
    found = await desk(tmp_path, outer)
    found.toml(*PIXEL)
    reloaded = await found.reloader.reload(API)
    assert (reloaded.result, [one.step for one in reloaded.problems]) == (Result.REFUSED, [step])
    assert (found.pixel, found.outer.adopted, len(found.outer.kept)) == ("PIXEL-US", [], 1)
    assert since(found) == found.time.now
    found.time.turn(minutes=1)
    await found.reloader.reload(API)
    assert since(found) < found.time.now, "it stands since it was refused first"


ACCEPTED = {
    "the trial's objections": (Outer(objections=("lost",)), Result.ADOPTED),
    "never the partner's": (Outer(verdict=Verdict.REFUSED), Result.REFUSED),
    "nor its silence": (Outer(verdict=Verdict.SILENT), Result.WAITING),
}


@pytest.mark.parametrize("name", ACCEPTED)
async def test_what_an_operator_can_accept(tmp_path: Path, name: str) -> None:
    outer, result = ACCEPTED[name]
    found = await desk(tmp_path, outer)
    found.toml(*PIXEL)
    assert (await found.reloader.reload(Ask("api", accept=True))).result is result


async def test_a_destination_with_waiting_deliveries_may_not_go(tmp_path: Path) -> None:
    found = await desk(tmp_path, Outer(waiting_for={"us", "gone-before"}))
    found.toml("[destinations.us]", "[destinations.ca]")
    refused = await found.reloader.reload(API)
    assert [(one.step, one.sentence) for one in refused.problems] == [
        (Step.CHECK, "destination us is removed or renamed while 2 deliveries wait for it")
    ]
    assert (await found.reloader.reload(Ask("api", accept=True))).result is Result.ADOPTED


EXCHANGED = {
    "pixel and token": ("PIXEL-CA", "file:other", ["destination us gets another pixel"]),
    "the pixel alone": ("PIXEL-CA", "file:token", []),
    "the token alone": ("PIXEL-US", "file:other", []),
}


@pytest.mark.parametrize("name", EXCHANGED)
async def test_what_waits_is_not_sent_with_the_token_of_another_pixel(
    tmp_path: Path, name: str
) -> None:
    pixel, token, told = EXCHANGED[name]
    found = await desk(tmp_path, Outer(waiting_for={"eu", "us"}))
    (tmp_path / "other").write_text("other-token")
    found.toml('"PIXEL-US"\naccess_token = "file:token"', f'"{pixel}"\naccess_token = "{token}"')
    reloaded = await found.reloader.reload(Ask("api", dry_run=True))
    sentences = [one.sentence for one in reloaded.problems]
    assert [one[: len(start)] for one, start in zip(sentences, told, strict=True)] == told


async def test_a_dry_run_says_what_would_come_of_it(tmp_path: Path) -> None:
    found = await desk(tmp_path, Outer(objections=("lost",)))
    found.toml(*PIXEL)
    reloaded = await found.reloader.reload(Ask("api", dry_run=True))
    assert (reloaded.result, reloaded.dry_run) == (Result.REFUSED, True)
    assert (found.reloader.standing, found.log.events, found.outer.adopted) == (None, [], [])


async def test_other_secrets_are_verified_and_no_version(tmp_path: Path) -> None:
    found = await desk(tmp_path, Outer(objections=("secrets concern no event",)))
    found.token("renewed")
    assert (await found.reloader.reload(API)).result is Result.ADOPTED
    assert (found.outer.asked, len(found.outer.kept)) == ([["eu", "us"]], 1)


async def test_without_verification_nobody_is_asked(tmp_path: Path) -> None:
    found = await desk(tmp_path, Outer(verdict=Verdict.REFUSED))
    found.toml("[sources.web]", "verify_changes = false\n[sources.web]")
    found.token("renewed")
    assert (await found.reloader.reload(API)).result is Result.ADOPTED
    assert found.outer.asked == []


async def test_changes_go_one_after_the_other(tmp_path: Path) -> None:
    found = await desk(tmp_path)
    found.toml(*PIXEL)
    results = await asyncio.gather(*(found.reloader.reload(API) for _ in range(5)))
    assert sorted(one.result.value for one in results) == ["adopted", *["unchanged"] * 4]


async def test_a_full_disk_does_not_keep_a_change_from_its_effect(tmp_path: Path) -> None:
    found = await desk(tmp_path)
    found.toml(*PIXEL)
    found.outer.is_full = True
    reloaded = await found.reloader.reload(API)
    assert (reloaded.result, reloaded.version, found.pixel) == (Result.ADOPTED, None, "PIXEL-CA")
    assert found.log.events == ["configuration.not_kept", "configuration.adopted"]


async def test_a_start_keeps_what_is_new_only(tmp_path: Path) -> None:
    found = await desk(tmp_path)
    for _ in range(2):
        await begun(tmp_path, found.files, found.outer, found.log, found.time)
    assert len(found.outer.kept) == 1


async def test_a_rollback_stays_until_the_files_change(tmp_path: Path) -> None:
    found = await desk(tmp_path)
    found.toml(*PIXEL)
    await found.reloader.reload(API)
    assert await found.reloader.rollback(9, Ask("rollback")) is None
    rolled = await found.reloader.rollback(1, Ask("rollback"))
    assert rolled is not None
    assert (rolled.result, found.pixel, rolled.version) == (Result.ADOPTED, "PIXEL-US", 3)
    assert found.outer.kept[-1].rolled_back == found.outer.kept[1].fingerprint
    assert (await found.reloader.reload(Ask("signal"))).result is Result.UNCHANGED
    assert found.pixel == "PIXEL-US"
    started = await begun(tmp_path, found.files, found.outer, found.log, found.time)
    assert (started.pixel, started.reloader.version) == ("PIXEL-US", 3)
    assert found.log.events[-1] == "configuration.rolled_back"
    found.toml('"PIXEL-US"', '"PIXEL-MX"')
    again = await begun(tmp_path, found.files, found.outer, found.log, found.time)
    assert (again.pixel, again.reloader.rolled_back) == ("PIXEL-MX", None)


async def test_an_operator_may_take_what_was_rolled_back(tmp_path: Path) -> None:
    found = await desk(tmp_path)
    found.toml(*PIXEL)
    await found.reloader.reload(API)
    await found.reloader.rollback(1, Ask("rollback"))
    assert (await found.reloader.reload(Ask("api", accept=True))).result is Result.ADOPTED
    assert (found.pixel, found.reloader.rolled_back) == ("PIXEL-CA", None)


async def test_a_version_whose_secret_is_gone_is_refused(tmp_path: Path) -> None:
    found = await desk(tmp_path)
    (tmp_path / "other").write_text("access-token")
    found.toml('"file:token"', '"file:other"')
    await found.reloader.reload(API)
    (tmp_path / "token").unlink()
    rolled = await found.reloader.rollback(1, Ask("rollback"))
    assert rolled is not None
    assert (rolled.result, rolled.problems[0].step) == (Result.REFUSED, Step.LOAD)
    assert found.reloader.standing is None, "the files are as good as they were"
    started = await begun(tmp_path, found.files, found.outer, found.log, found.time)
    assert started.reloader.version == 2


async def test_what_only_a_start_takes_is_named_until_then(tmp_path: Path) -> None:
    found = await desk(tmp_path)
    found.toml("[sources.web]", 'host = "0.0.0.0"\nretention = "9d"\n[sources.web]')
    assert (await found.reloader.reload(API)).needs_restart == ("service.host",)
    assert found.reloader.needs_restart == ("service.host",)


def test_settings_that_are_taken_while_running_exist() -> None:
    assert ServiceSettings.model_fields.keys() >= TAKEN_WHILE_RUNNING
