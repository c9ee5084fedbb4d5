"""What a service begins with: a restart does not let through what a change was refused for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from conversion_relay.core.destination import Verdict
from conversion_relay.errors import ConfigurationError, RelayError, StoreUnavailable
from conversion_relay.service.reload.candidate import Files
from conversion_relay.service.reload.starting import start_of
from conversion_relay.service.reload.steps import Ask, Result, Step
from conversion_relay.service.settings import ServiceSettings
from conversion_relay.service.store.history import VersionRecord
from support.changing import ENVIRONMENT, TOML, write_files
from support.reloads import API_URL, Desk, Outer, begun, desk

API = Ask("api")
PIXEL = ('"PIXEL-US"', '"PIXEL-CA"')


async def _again(found: Desk) -> Desk:
    found.log.lines.clear()
    return await begun(found.folder, found.files, found.outer, found.log, found.time)


NOT_TAKEN = {
    "refused": (Outer(objections=("lost",)), Result.REFUSED),
    "refused by the partner": (Outer(verdict=Verdict.REFUSED), Result.REFUSED),
    "of which nothing was learnt": (Outer(verdict=Verdict.SILENT), Result.WAITING),
}


@pytest.mark.parametrize("name", NOT_TAKEN)
async def test_what_was_not_taken_is_not_taken_by_a_restart(tmp_path: Path, name: str) -> None:
    outer, result = NOT_TAKEN[name]
    found = await desk(tmp_path, outer)
    found.toml(*PIXEL)
    assert (await found.reloader.reload(API)).result is result
    for _ in range(2):
        started = await _again(found)
        assert (started.pixel, started.reloader.version) == ("PIXEL-US", 1)
        assert started.log.events == ["configuration.refused"]
        assert started.reloader.standing is not None
    with pytest.raises(ConfigurationError, match="not taken while version 1 ran"):
        await start_of(found.files, outer.newest, strict=True)
    assert len(outer.kept) == 1


async def test_after_the_start_it_is_tried_as_any_change(tmp_path: Path) -> None:
    found = await desk(tmp_path, Outer(verdict=Verdict.REFUSED))
    found.toml(*PIXEL)
    await found.look()
    started = await _again(found)
    await started.look(5)
    assert started.log.events == ["configuration.refused"] * 2, "the second one says why"
    found.outer.verdict = Verdict.SOUND
    started = await _again(found)
    await started.look(2)
    assert (started.pixel, started.reloader.standing) == ("PIXEL-CA", None)


async def test_files_that_say_something_else_are_taken(tmp_path: Path) -> None:
    found = await desk(tmp_path, Outer(objections=("lost",)))
    found.toml(*PIXEL)
    await found.look()
    found.toml('"PIXEL-US"', '"PIXEL-MX"')
    started = await _again(found)
    assert (started.pixel, started.reloader.standing) == ("PIXEL-MX", None)


async def test_a_rollback_outlasts_a_change_that_was_refused(tmp_path: Path) -> None:
    found = await desk(tmp_path)
    found.toml(*PIXEL)
    await found.reloader.reload(API)
    await found.reloader.rollback(1, Ask("rollback"))
    found.outer.objections = ("lost",)
    found.toml('"PIXEL-US"', '"PIXEL-MX"')
    assert (await found.reloader.reload(API)).result is Result.REFUSED
    assert (await _again(found)).pixel == "PIXEL-US"
    found.toml(*PIXEL)
    started = await _again(found)
    assert (started.pixel, started.log.events) == ("PIXEL-US", ["configuration.rolled_back"])


async def test_a_dry_run_and_a_rollback_that_fail_leave_no_trace(tmp_path: Path) -> None:
    found = await desk(tmp_path)
    found.toml(*PIXEL)
    await found.reloader.reload(API)
    found.outer.objections = ("lost",)
    await found.reloader.rollback(1, Ask("rollback"))
    found.toml('"PIXEL-US"', '"PIXEL-MX"')
    await found.reloader.reload(Ask("api", dry_run=True))
    assert [one.refused for one in found.outer.kept] == [None, None]


async def test_a_refused_change_is_remembered_as_soon_as_it_can_be_written(tmp_path: Path) -> None:
    found = await desk(tmp_path, Outer(objections=("lost",)))
    found.toml(*PIXEL)
    found.outer.is_full = True
    await found.reloader.reload(API)
    assert found.reloader.version == 1
    found.outer.is_full = False
    await found.reloader.reload(API)
    assert found.outer.kept[0].refused is not None


UNUSABLE = {
    "no TOML": ("[sources.web]", "[sources.web"),
    "unknown key": ('pixel_code = "PIXEL-US"', "pixel_cod = 1"),
    "missing secret": ('"env:KEY"', '"env:GONE"'),
    "missing mappings": ('"mappings.json"\n[destinations.us]', '"gone.json"\n[destinations.us]'),
}


@pytest.mark.parametrize("name", UNUSABLE)
async def test_files_that_cannot_be_used_leave_what_ran_last(tmp_path: Path, name: str) -> None:
    found = await desk(tmp_path)
    found.toml(*UNUSABLE[name])
    started = await _again(found)
    assert (started.pixel, started.reloader.version) == ("PIXEL-US", 1)
    standing = started.reloader.standing
    assert standing is not None
    assert {one.step for one in standing.problems} == {Step.LOAD}
    assert started.log.lines[0][:2] == ("error", "configuration.refused")
    assert started.log.lines[0][2]["cause"] == "start"
    await started.look(4)
    assert len(started.log.events) == 1, "it is told once"
    found.toml(*PIXEL)
    await started.look(2)
    assert (started.pixel, started.reloader.standing) == ("PIXEL-CA", None)


async def _none(_: ServiceSettings) -> VersionRecord | None:
    return None


async def _broken(_: ServiceSettings) -> VersionRecord | None:
    raise StoreUnavailable("the disk fails")


async def test_without_a_version_it_ends_with_the_words_of_the_files(tmp_path: Path) -> None:
    found = await desk(tmp_path)
    found.toml("[sources.web]", "[sources.web")
    words = r"relay\.toml:5: is no TOML"
    for newest in (_none, _broken):
        with pytest.raises(ConfigurationError, match=words):
            await start_of(found.files, newest, strict=False)
    with pytest.raises(ConfigurationError, match=words):
        await start_of(found.files, found.outer.newest, strict=True)


@pytest.mark.parametrize("change", [PIXEL, ("[sources.web]", "[sources.web")])
async def test_a_version_whose_secret_is_gone_starts_nothing(
    tmp_path: Path, change: tuple[str, str]
) -> None:
    found = await desk(tmp_path, Outer(objections=("lost",)))
    (tmp_path / "other").write_text("access-token")
    write_files(tmp_path, API_URL, TOML.replace(*change).replace("file:token", "file:other"))
    await found.reloader.reload(API)
    (tmp_path / "token").unlink()
    with pytest.raises(RelayError):
        await start_of(found.files, found.outer.newest, strict=False)


async def test_a_rollback_that_is_lost_leaves_what_the_files_say(tmp_path: Path) -> None:
    found = await desk(tmp_path)
    (tmp_path / "other").write_text("access-token")
    found.toml('"file:token"', '"file:other"')
    await found.reloader.reload(API)
    await found.reloader.rollback(1, Ask("rollback"))
    (tmp_path / "token").unlink()
    started = await _again(found)
    assert started.log.events == ["configuration.rollback_lost"]
    assert (started.reloader.version, started.reloader.rolled_back) == (4, None)


FOUND = {
    "in the file": ('"sqlite:///relay.db"', {}, "{}/relay.db"),
    "in the file, with a remark": ("'sqlite:///here.db'  # kept there", {}, "{}/here.db"),
    "by the environment": (
        '"sqlite:///relay.db"', {"RELAY_DATABASE_URL": "sqlite:///there.db"}, "there.db"
    ),
    "where it is by itself": ('"sqlite:///broken', {}, "relay-data/relay.db"),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
async def test_where_the_database_of_files_without_form_is(tmp_path: Path, name: str) -> None:
    written, variables, place = FOUND[name]
    found = await desk(tmp_path)
    found.toml('"sqlite:///relay.db"\n', f"{written}\n[half\n")
    files = Files({**ENVIRONMENT, **variables}, found.files.path)
    asked: list[ServiceSettings] = []

    async def newest(settings: ServiceSettings) -> VersionRecord | None:
        asked.append(settings)
        return found.outer.kept[-1]

    started = await start_of(files, newest, strict=False)
    assert [str(one.database_path) for one in asked] == [place.format(tmp_path)]
    running = started.candidate.configuration.service
    assert running.database_url == asked[0].database_url, "it is the one that was found"


async def test_variables_of_the_service_are_those_of_today(tmp_path: Path) -> None:
    found = await desk(tmp_path)
    found.toml("[sources.web]", "[sources.web")
    files = replace(found.files, environment={**ENVIRONMENT, "RELAY_PORT": "9999"})
    started = await start_of(files, found.outer.newest, strict=False)
    assert started.candidate.configuration.service.port == 9999
    assert started.candidate.fingerprint == found.outer.kept[0].fingerprint
