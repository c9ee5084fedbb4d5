"""The commands `status` and `events`: how the flow is, and what is kept of events."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from typer.testing import Result

from cli.test_operators import listening, run, said, spoilt
from conversion_relay.service.http.admin.masking import MASK
from conversion_relay.service.store.history import AlertRecord, FlowCount
from support.events import order
from support.running import ADMIN, world

READ = "read-token"


async def asked(folder: Path, port: int, *arguments: str, token: str = ADMIN) -> Result:
    """The command beside the service, with that token of its admin paths."""
    tokens = {"RELAY_ADMIN_TOKEN": "", "RELAY_READ_TOKEN": READ} if token == READ else {}
    at = {"RELAY_PORT": str(port), **tokens}
    return await asyncio.to_thread(run, folder, *arguments, **at)


@pytest.mark.parametrize("token", [ADMIN, READ])
async def test_the_flow_at_a_glance(tmp_path: Path, token: str) -> None:
    async with (
        world(tmp_path, RELAY_READ_TOKEN=READ) as here,
        listening(here) as port,
    ):
        await here.post(order("m-1"))
        await here.settled()
        now = datetime.now(UTC)  # noqa: TID251 - the service has the same clock
        history = here.relay.store.history
        await history.add_flow([FlowCount(now, "events_kept", ("default", "planned"), 1_234)])
        await history.keep_alert(
            AlertRecord(
                *(0, "lane_held", "tiktok", "critical", now, now, None),
                *("TikTok refuses the token.", "Renew it."),
            )
        )
        told = said(await asked(tmp_path, port, "status", token=token))
    assert "ready" in told
    assert "open alert" in told
    assert "critical: lane_held of tiktok" in told
    assert "TikTok refuses the token. Renew it." in told
    assert "default 1,234 1,234 0" in told
    assert "flowing" in told


async def test_the_same_for_programs(tmp_path: Path) -> None:
    async with world(tmp_path) as here, listening(here) as port:
        await here.post(order("m-1"))
        await here.settled()
        result = await asked(tmp_path, port, "status", "--json")
    seen = orjson.loads(result.stdout)
    assert seen["unready"] is None
    assert seen["status"]["deliveries"] == {"tiktok": {"delivered": 1}}
    assert [one["destination"] for one in seen["lanes"]] == ["tiktok"]
    assert [one["name"] for one in seen["destinations"]] == ["tiktok"]
    assert seen["alerts"]["alerts"] == []
    assert "example.com" not in result.stdout


async def test_what_waits_while_no_service_runs(tmp_path: Path) -> None:
    async with spoilt(tmp_path):
        pass
    told = said(await asyncio.to_thread(run, tmp_path, "status"))
    assert "not ready: A delivery worker is not running." in told


async def test_events_of_every_kind_are_listed(tmp_path: Path) -> None:
    async with spoilt(tmp_path) as here, listening(here) as port:
        every = said(await asked(tmp_path, port, "events", "list"))
        some = said(await asked(tmp_path, port, "events", "list", "--state", "unmatched"))
    assert "dead-1" in every
    assert "unmatched" in every
    assert "dead-1" not in some


async def test_an_event_shows_masked_with_the_answers_of_tiktok(tmp_path: Path) -> None:
    async with spoilt(tmp_path) as here, listening(here) as port:
        shown = said(await asked(tmp_path, port, "events", "show", "dead-1"))
    assert '"event":"Order Completed"' in shown
    assert f'"userId":"{MASK} text, up to 16"' in shown
    assert "code 40002" in shown
    assert "request_id" in shown
    assert "example.com" not in shown


async def test_a_read_token_is_not_enough_to_reveal(tmp_path: Path) -> None:
    async with (
        world(tmp_path, RELAY_READ_TOKEN=READ) as here,
        listening(here) as port,
    ):
        await here.post(order("m-1"))
        shown = await asked(tmp_path, port, "events", "show", "1", token=READ)
        refused = await asked(tmp_path, port, "events", "show", "1", "--reveal", token=READ)
    assert shown.exit_code == 0
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "RELAY_ADMIN_TOKEN" in refused.stderr
