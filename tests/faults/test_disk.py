"""The service while its own disk fails: 503 for what is new, delivery of what is kept, no help.

One side is what the client was told is kept, the other the ledger of the sandbox. Run as a program
this file is a service that delivers on a disk that has failed, until it is killed.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sys
import time
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from subprocess import run
from typing import Final, Protocol

import apsw
import httpx
import pytest

from conversion_relay.core.delivery import State
from conversion_relay.errors import StoreUnavailable
from conversion_relay.sandbox import Sandbox, create_sandbox
from conversion_relay.sandbox import running as running_sandbox
from conversion_relay.service.app import Outside, now, open_relay
from conversion_relay.service.configuration import load
from conversion_relay.service.relay import Relay
from conversion_relay.service.sealing import Sealer, load_or_create_keys
from conversion_relay.service.store.sqlite import open_store
from faults.conftest import Report, size_of
from faults.judge import Verdict, hashes, judge, targets
from support.disk import BROKEN, FULL, READ_ONLY, Disk, failing_disk
from support.events import order
from support.lines import Lines
from support.running import World, environment

_PATIENCE_SECONDS: Final = 30
_RECOVERY_SECONDS: Final = 30.0
_BATCH: Final = 100


class Failure(Protocol):
    """A disk that fails and is mended."""

    def strike(self) -> None:
        """From now on nothing can be written."""
        ...

    def mend(self) -> None:
        """From now on everything can."""
        ...


@dataclass
class SmallDisk:
    """A file system of its own, filled to the last byte."""

    folder: Path

    def strike(self) -> None:
        """See Failure."""
        with (self.folder / "filler").open("wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(4_096))
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017 - the loop has no other end

    def mend(self) -> None:
        """See Failure."""
        (self.folder / "filler").unlink()


@dataclass
class Injected:
    """A layer under SQLite that answers with this error."""

    disk: Disk
    error: apsw.Error

    def strike(self) -> None:
        """See Failure."""
        self.disk.fault = self.error

    def mend(self) -> None:
        """See Failure."""
        self.disk.fault = None


@contextmanager
def small_disk(folder: Path) -> Iterator[Failure]:
    """A tmpfs of some MiB in this folder; skips where none can be mounted."""
    size = f"size={size_of(short=16, full=64)}m,mode=700"
    made = run(  # noqa: S603 - a folder of the test's own
        ["mount", "-t", "tmpfs", "-o", size, "relay-test", str(folder)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        run(["umount", str(folder)], check=True)  # noqa: S603, S607 - the same folder


@contextmanager
def injected(folder: Path, error: apsw.Error) -> Iterator[Failure]:
    """A layer that fails with this error when told."""
    with failing_disk(folder) as disk:
        yield Injected(disk, error)


_FAILURES: Final[Mapping[str, Callable[[Path], AbstractContextManager[Failure]]]] = {
    "small tmpfs filled": small_disk,
    "ENOSPC injected": lambda folder: injected(folder, FULL),
    "EIO injected": lambda folder: injected(folder, BROKEN),
    "read-only injected": lambda folder: injected(folder, READ_ONLY),
}


@dataclass
class Shop:
    """Posts orders and remembers what was acknowledged."""

    world: World
    acknowledged: set[str] = field(default_factory=set)
    posted: int = 0

    def verdict(self) -> Verdict:
        """What the sandbox counted, against what was acknowledged."""
        events = [order(f"m-{number}") for number in range(self.posted)]
        conversions = self.world.sandbox.ledger.conversions()
        return judge(conversions, self.acknowledged, hashes(events, targets()))

    async def post(self, count: int) -> int:
        """The status of one batch of new orders."""
        names = [f"m-{self.posted + number}" for number in range(count)]
        self.posted += count
        return await self.post_again(names)

    async def post_again(self, names: list[str]) -> int:
        """The status of a batch with these messageIds."""
        answer = await self.world.post([order(name) for name in names])
        if answer.status_code == httpx.codes.OK:
            self.acknowledged.update(names)
        return answer.status_code


def _arrived(sandbox: Sandbox) -> list[str]:
    return [str(one.event_id) for one in sandbox.ledger.conversions()]


@asynccontextmanager
async def _service(
    folder: Path, sandbox: Sandbox, ahead: timedelta = timedelta()
) -> AsyncIterator[World]:
    """A service that does not deliver yet, with a clock that is so much ahead."""
    outside = Outside(clock=lambda: now() + ahead)
    log = Lines()
    async with running_sandbox(sandbox) as api_url:
        configuration = load(environment(folder, api_url))
        async with open_relay(configuration, log, outside) as relay:
            transport = httpx.ASGITransport(app=relay.http)
            async with httpx.AsyncClient(transport=transport, base_url="http://relay") as client:
                yield World(relay, sandbox, client, log)


async def _all_arrived(sandbox: Sandbox, names: set[str]) -> float:
    """How many seconds that took."""
    began = time.monotonic()
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not names <= set(_arrived(sandbox)):  # noqa: ASYNC110 - another program's
            await asyncio.sleep(0.02)
    return time.monotonic() - began


async def _ready(world: World) -> None:
    """Once something could be written again."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while (await world.client.get("/readyz")).status_code != httpx.codes.OK:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def _all_written(relay: Relay, names: set[str]) -> None:
    """The database knows that all of it was delivered."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            records = await relay.store.deliveries(sorted(names))
            if {record.state for record in records} == {State.DELIVERED}:
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("failure", _FAILURES)
async def test_delivery_goes_on_while_nothing_can_be_written(
    tmp_path: Path, failure: str, report: Report
) -> None:
    backlog = size_of(short=1_000, full=5_000)
    sandbox = create_sandbox(clock=time.monotonic, access_tokens=frozenset({"access-token"}))
    with _FAILURES[failure](tmp_path) as disk:
        async with _service(tmp_path, sandbox) as world:
            shop = Shop(world)
            for _ in range(backlog // _BATCH):
                assert await shop.post(_BATCH) == httpx.codes.OK
            disk.strike()
            refused = [await shop.post(20) for _ in range(5)]
            assert refused == [httpx.codes.SERVICE_UNAVAILABLE] * 5
            async with world.relay.delivering():
                drained = await _all_arrived(sandbox, set(shop.acknowledged))
                refused.append(await shop.post(20))
                assert refused[-1] == httpx.codes.SERVICE_UNAVAILABLE
                assert (await world.client.get("/readyz")).status_code == 503
                disk.mend()
                mended = time.monotonic()
                await _ready(world)
                recovery = time.monotonic() - mended
                await _all_written(world.relay, set(shop.acknowledged))
                last = [f"m-{number}" for number in range(backlog, shop.posted)]
                assert await shop.post_again(last) == httpx.codes.OK  # Segment tries again
                await _all_arrived(sandbox, shop.acknowledged)
    verdict = shop.verdict()
    assert verdict.is_flawless
    assert sum(one.copies for one in sandbox.ledger.conversions()) == 0, "nothing was sent twice"
    assert recovery < _RECOVERY_SECONDS
    report(
        10,
        f"{failure}: {backlog} kept events delivered in {drained:.1f} s meanwhile, "
        f"{len(refused)} requests refused (503); {verdict}, 0 copies; "
        f"writes again after {recovery:.1f} s",
    )


def _read_only(folder: Path) -> None:
    run(["mount", "-o", "remount,ro", str(folder)], check=True)  # noqa: S603, S607 - the test's own


@pytest.mark.parametrize("strike", [lambda folder: SmallDisk(folder).strike(), _read_only])
async def test_a_start_on_a_disk_in_trouble_may_be_tried_again(
    tmp_path: Path, strike: Callable[[Path], None]
) -> None:
    """Not as with a wrong configuration, after which a supervisor gives up."""
    with small_disk(tmp_path):
        strike(tmp_path)
        for path in (tmp_path / "relay.db", tmp_path / "new" / "relay.db"):
            with pytest.raises(StoreUnavailable, match=r"cannot be used: (No space|Read-only)"):
                load_or_create_keys(None, path)
            with pytest.raises(StoreUnavailable, match=r"cannot be used: (No space|Read-only)"):
                await open_store(path, Sealer([bytes(32)]))


async def _deliver_until_killed(folder: Path, api_url: str) -> None:
    """The service on a disk that failed after its backlog was kept."""
    with failing_disk(folder) as disk:
        async with open_relay(load(environment(folder, api_url)), Lines()) as relay:
            disk.fault = BROKEN
            async with relay.delivering():
                await asyncio.Event().wait()


async def _kill_after_first_conversion(folder: Path, sandbox: Sandbox, api_url: str) -> None:
    """Lets a service begin to deliver on a failed disk."""
    variables = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"]}
    command = [sys.executable, __file__, str(folder), api_url]
    child = await create_subprocess_exec(*command, env=variables, stderr=PIPE)
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not sandbox.ledger.conversions():
            assert child.returncode is None, await child.communicate()
            await asyncio.sleep(0.002)
    child.kill()
    await child.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("away", [timedelta(hours=1), timedelta(hours=49)])
async def test_a_kill_while_nothing_can_be_written(
    tmp_path: Path, away: timedelta, report: Report
) -> None:
    backlog = size_of(short=3_000, full=20_000)
    skew = 0.0
    sandbox = create_sandbox(
        clock=lambda: time.monotonic() + skew, access_tokens=frozenset({"access-token"})
    )
    async with _service(tmp_path, sandbox) as world:
        shop = Shop(world)
        for _ in range(backlog // _BATCH):
            assert await shop.post(_BATCH) == httpx.codes.OK
    async with running_sandbox(sandbox) as api_url:
        await _kill_after_first_conversion(tmp_path, sandbox, api_url)
    before = set(_arrived(sandbox))
    skew = away.total_seconds()
    async with _service(tmp_path, sandbox, away) as world:
        async with world.relay.delivering():
            await world.settled()
        records = await world.relay.store.deliveries(sorted(shop.acknowledged))
    parked = {one.message_id for one in records if one.state is State.UNCERTAIN}
    verdict = shop.verdict()
    assert not verdict.twice
    assert not verdict.invented
    assert not verdict.altered
    assert verdict.missing <= parked, "what did not arrive is listed"
    assert before, "it was sending"
    copies = sum(one.copies for one in sandbox.ledger.conversions())
    if away < timedelta(hours=48):
        assert not parked
        assert copies == len(before), "what had arrived was sent again, and recognised"
    else:
        assert copies == 0, "what may have arrived is not sent again"
        assert parked == shop.acknowledged
    report(
        10,
        f"killed in that state, back after {away.total_seconds() / 3600:.0f} h: {len(before)} of "
        f"{len(shop.acknowledged)} had arrived unrecorded; {verdict.conversions} conversions, "
        f"{copies} recognised copies, {len(parked)} uncertain, {len(verdict.twice)} twice, "
        f"{len(verdict.missing - parked)} lost",
    )


if __name__ == "__main__":
    asyncio.run(_deliver_until_killed(Path(sys.argv[1]), sys.argv[2]))
