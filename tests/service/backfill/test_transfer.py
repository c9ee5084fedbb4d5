"""Files through the whole service into the sandbox's ledger, interrupted and begun again."""

from __future__ import annotations

import gzip
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import orjson
import pytest

from conversion_relay.core.values import JsonObject
from conversion_relay.errors import RelayError
from conversion_relay.service.backfill.inputs import find_input
from conversion_relay.service.backfill.sending import Bounds, Door
from conversion_relay.service.backfill.survey import Horizon
from conversion_relay.service.backfill.transfer import Transfer, count
from conversion_relay.service.http.admin.backfill import BackfillAnswer
from support.events import order, track
from support.running import ADMIN, World, world

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TOKEN = {"Authorization": f"Bearer {ADMIN}"}


@dataclass(slots=True)
class Seen:
    """An onlooker that remembers."""

    total: Counter[str] = field(default_factory=Counter)
    remarks: list[str] = field(default_factory=list)
    passed_lines: list[int] = field(default_factory=list)

    def passed(self, lines_done: int) -> None:
        """Keeps it."""
        self.passed_lines.append(lines_done)

    def taken(self, answer: BackfillAnswer) -> None:
        """Adds it up."""
        self.total.update(answer.model_dump())

    def remark(self, text: str) -> None:
        """Keeps it."""
        self.remarks.append(text)


async def _no_pause(_: float) -> None:
    pass


def _unheard(_: str, __: float) -> None:
    pass


async def send(
    client: httpx.AsyncClient, path: Path, max_age: timedelta = timedelta(days=7), batch: int = 3
) -> Seen:
    """One run of the command's inside."""
    seen = Seen()
    horizon = Horizon(NOW, max_age)
    one = find_input(path, None)
    door = Door(client, "default", _no_pause, _unheard)
    transfer = Transfer(door, horizon, Bounds(batch, 100_000), "relay.db", seen)
    try:
        await transfer.send(one, count(one, horizon))
    except RelayError as error:
        seen.remark(str(error))
    return seen


def admin(here: World) -> httpx.AsyncClient:
    here.client.headers.update(TOKEN)
    return here.client


def write(path: Path, *lines: JsonObject | bytes) -> Path:
    path.write_bytes(
        b"".join((one if isinstance(one, bytes) else orjson.dumps(one)) + b"\n" for one in lines)
    )
    return path


class Failing(httpx.AsyncBaseTransport):
    """Lets some requests through, then answers 500 instead."""

    def __init__(self, inner: httpx.AsyncClient, requests: int) -> None:
        self._inner = inner
        self._left = requests

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The service's answer, as long as it is there."""
        self._left -= 1
        if self._left < 0:
            return httpx.Response(500, json={"detail": "Gone."})
        answer = await self._inner.post(
            request.url.raw_path.decode(), content=await request.aread(), headers=TOKEN
        )
        return httpx.Response(answer.status_code, content=answer.content)


def failing(here: World, requests: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=Failing(here.client, requests), base_url="http://relay")


def left_beside(path: Path) -> list[Path]:
    return list(path.parent.glob("*.backfill*"))


async def ids(here: World) -> list[str]:
    conversions = await here.settled()
    assert all(one.copies == 0 for one in conversions)
    return sorted(str(one.event_id) for one in conversions)


async def test_a_file_is_sent_once_however_often(tmp_path: Path) -> None:
    path = write(tmp_path / "e.ndjson", *(order(f"m-{n}") for n in range(10)), b"bad")
    packed = tmp_path / "other-name"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    async with world(tmp_path) as here:
        first = await send(admin(here), path)
        second = await send(admin(here), packed)
        assert await ids(here) == sorted(f"m-{n}" for n in range(10))
    assert (first.total["accepted"], first.total["duplicates"]) == (10, 0)
    assert (second.total["accepted"], second.total["duplicates"]) == (0, 10)
    assert first.passed_lines == sorted(first.passed_lines)
    assert first.passed_lines[-1] == 11
    assert first.remarks == second.remarks == []
    assert not left_beside(path)


async def test_what_the_webhook_took_is_a_duplicate(tmp_path: Path) -> None:
    path = write(tmp_path / "e.ndjson", order("m-1"), order("m-2"))
    async with world(tmp_path) as here:
        await here.post(order("m-1"))
        seen = await send(admin(here), path)
        assert await ids(here) == ["m-1", "m-2"]
    assert (seen.total["accepted"], seen.total["duplicates"]) == (1, 1)


async def test_what_is_too_old_is_not_sent(tmp_path: Path) -> None:
    old = order("m-1", timestamp="2026-11-01T00:00:00Z")
    path = write(tmp_path / "e.ndjson", old, order("m-2"))
    async with world(tmp_path) as here:
        await send(admin(here), path)
        assert await ids(here) == ["m-2"]
        await send(admin(here), path, timedelta(days=30))
        assert await ids(here) == ["m-1", "m-2"]


async def test_counting_sends_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "e.ndjson", order("m-1"))
    async with world(tmp_path) as here:
        counted = count(find_input(path, None), Horizon(NOW, timedelta(days=7)))
        assert counted.names == {"Order Completed": 1}
        assert await ids(here) == []
    assert not left_beside(path)


async def test_an_interrupted_run_goes_on_where_it_ended(tmp_path: Path) -> None:
    path = write(tmp_path / "e.ndjson", *(order(f"m-{n}") for n in range(10)))
    async with world(tmp_path) as here:
        async with failing(here, 2) as client:
            first = await send(client, path)
        second = await send(admin(here), path)
        assert await ids(here) == sorted(f"m-{n}" for n in range(10))
    assert first.remarks == ["the service answered: Gone."]
    assert (first.total["accepted"], first.passed_lines[-1]) == (6, 6)
    (remark,) = second.remarks
    assert "goes on behind line 6" in remark
    assert (second.total["accepted"], second.total["duplicates"]) == (4, 0)
    assert not left_beside(path)


@pytest.mark.parametrize("change", ["content", "age"])
async def test_a_run_that_is_not_the_same_begins_anew(tmp_path: Path, change: str) -> None:
    path = write(tmp_path / "e.ndjson", *(order(f"m-{n}") for n in range(10)))
    async with world(tmp_path) as here:
        async with failing(here, 2) as client:
            await send(client, path)
        if change == "content":
            write(path, *(order(f"m-{n}") for n in range(11)))
        second = await send(admin(here), path, timedelta(days=8 if change == "age" else 7))
        await here.settled()
    (remark,) = second.remarks
    assert "begun anew" in remark
    assert second.total["duplicates"] == 6
    assert second.total["accepted"] == (5 if change == "content" else 4)


async def test_the_progress_of_a_database_that_was_replaced_does_not_count(tmp_path: Path) -> None:
    path = write(tmp_path / "e.ndjson", *(order(f"m-{n}") for n in range(10)))
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    async with world(tmp_path / "old") as here, failing(here, 2) as client:
        await send(client, path)
    async with world(tmp_path / "new") as here:
        second = await send(admin(here), path)
        assert await ids(here) == sorted(f"m-{n}" for n in range(10))
    (remark,) = second.remarks
    assert "begun anew" in remark
    assert second.total["accepted"] == 10


async def test_a_long_line_is_not_done_before_all_its_events_are(tmp_path: Path) -> None:
    events = orjson.dumps([order(f"m-{n}") for n in range(10)])
    path = write(tmp_path / "e.ndjson", order("m-a"), events)
    async with world(tmp_path) as here:
        async with failing(here, 2) as client:
            await send(client, path)
        second = await send(admin(here), path)
        assert await ids(here) == sorted(["m-a", *(f"m-{n}" for n in range(10))])
    assert "goes on behind line 1," in second.remarks[0]
    assert second.total["duplicates"] == 5


async def test_without_room_for_progress_it_goes_on_all_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "e.ndjson", *(order(f"m-{n}") for n in range(10)))
    (tmp_path / "e.ndjson.backfill.new").mkdir()
    async with world(tmp_path) as here:
        seen = await send(admin(here), path)
        assert len(await ids(here)) == 10
    (remark,) = seen.remarks
    assert "cannot be written" in remark


async def test_a_foreign_file_in_the_place_of_progress_stops_before_anything_is_sent(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "e.ndjson", order("m-1"))
    (tmp_path / "e.ndjson.backfill").write_text("mine", "utf-8")
    async with world(tmp_path) as here:
        seen = await send(admin(here), path)
        assert await ids(here) == []
    assert "move it away" in seen.remarks[0]


async def test_what_comes_before_a_damage_is_sent_and_its_progress_kept(tmp_path: Path) -> None:
    lines = b"".join(orjson.dumps(order(f"m-{n}")) + b"\n" for n in range(10))
    path = tmp_path / "e.ndjson.gz"
    path.write_bytes(gzip.compress(lines)[:-4])
    async with world(tmp_path) as here:
        first = await send(admin(here), path)
        second = await send(admin(here), path)
        assert len(await ids(here)) == 10
    assert first.total["accepted"] == 10
    assert second.total == {}
    assert "goes on behind line 10" in second.remarks[0]


async def test_lines_that_came_after_the_count_wait_for_the_next_run(tmp_path: Path) -> None:
    path = write(tmp_path / "e.ndjson", order("m-1"))
    horizon = Horizon(NOW, timedelta(days=7))
    async with world(tmp_path) as here:
        one = find_input(path, None)
        counted = count(one, horizon)
        write(path, order("m-1"), order("m-2"))
        door = Door(admin(here), "default", _no_pause, _unheard)
        await Transfer(door, horizon, Bounds(3, 100_000), "relay.db", Seen()).send(one, counted)
        assert await ids(here) == ["m-1"]


async def test_a_row_of_a_warehouse_becomes_the_same_conversion(tmp_path: Path) -> None:
    row: JsonObject = {
        "id": "m-1",
        "event": "order_completed",
        "event_text": "Order Completed",
        "received_at": "2026-11-20 10:15:32 UTC",
        "timestamp": "2026-11-20 10:15:30.250 UTC",
        "context_traits_email": "lena@example.com",
        "revenue": 59.9,
        "currency": "EUR",
    }
    path = write(tmp_path / "tracks.ndjson", row, track("Other", "m-2"))
    async with world(tmp_path) as here:
        await here.post(order("m-1"))
        seen = await send(admin(here), path)
    assert (seen.total["accepted"], seen.total["duplicates"]) == (1, 1)
