"""Malformed events inside a good request: kept under seal, counted, listed with the reason."""

from __future__ import annotations

import asyncio
import base64
import os
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from conversion_relay.cli import application
from conversion_relay.core.values import Json
from support.events import order
from support.running import BEARER, environment, world

_BASIC = {"Authorization": "Basic " + base64.b64encode(b"write-key:").decode()}
_MALFORMED: dict[str, tuple[bytes, str]] = {
    "no object": (b'"canary"', "an event is a JSON object, this is a string"),
    "no type": (b'{"canary": 1}', '"type" must be a word such as "track", it is missing'),
    "a number that is none": (b'{"type": "track", "canary": NaN}', "a number that JSON does not"),
    "too deep": (b'{"type": "track", "canary": %b}' % (b"[" * 90 + b"]" * 90), "nested"),
    "too large": (b'{"type": "track", "canary": "%b"}' % (b"x" * 70_000), "larger than"),
    "no UTF-8": (b'{"type": "track", "canary": "\xff"}', "not UTF-8"),
}


def _command(folder: Path, *arguments: str) -> Result:
    unset = {name: None for name in os.environ if name.startswith(("RELAY_", "TIKTOK_"))}
    variables = environment(folder, "http://127.0.0.1:9")
    return CliRunner().invoke(application, list(arguments), env={**unset, **variables})


def _files(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir() if file.is_file())


@pytest.mark.parametrize("kind", sorted(_MALFORMED))
async def test_it_is_kept_counted_and_listed_and_the_request_succeeds(
    tmp_path: Path, kind: str
) -> None:
    malformed, reason = _MALFORMED[kind]
    good = orjson.dumps(order("good"))
    async with world(tmp_path, SEGMENT_WRITE_KEY="write-key") as here:
        answers = [
            await here.client.post(
                "/webhook/default",
                content=b"[%b,%b]" % (malformed, good),
                headers={"Authorization": f"Bearer {BEARER}"},
            ),
            await here.client.post(
                "/v1/batch", content=b'{"batch":[%b,%b]}' % (malformed, good), headers=_BASIC
            ),
        ]
        assert [one.status_code for one in answers] == [200, 200]
        assert [one.event_id for one in await here.settled()] == ["good"]
        assert (await here.status())["events"]["quarantined"] == 1, "the second is a copy"
        shown = (await here.client.get("/metrics")).text
        counted = 'relay_events_kept_total{disposition="quarantined",source="default"} 1.0'
        assert counted in shown
    assert b"canary" not in _files(tmp_path)
    listed = await asyncio.to_thread(
        _command, tmp_path, "dead-letters", "list", "--state", "quarantined", "--json"
    )
    assert listed.exit_code == 0, listed.output
    (event,) = [orjson.loads(line) for line in listed.stdout.splitlines()]
    assert reason in event["reason"]
    assert "canary" not in listed.stdout


async def test_what_was_sent_is_shown_to_who_asks_for_it(tmp_path: Path) -> None:
    batch: list[Json] = [5, order("good")]
    async with world(tmp_path) as here:
        await here.post(batch)
        await here.settled()
    shown = await asyncio.to_thread(_command, tmp_path, "dead-letters", "show", "--reveal", "1")
    assert shown.exit_code == 0, shown.output
    assert "5" in shown.stdout
