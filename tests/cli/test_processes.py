"""`serve --role` and `serve --processes`: what is refused; several processes at one address."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from conversion_relay.cli import application
from conversion_relay.errors import ConfigurationError
from conversion_relay.sandbox import Sandbox, create_sandbox
from conversion_relay.sandbox import running as running_sandbox
from conversion_relay.service.processes import pause_seconds, run
from conversion_relay.service.serving import Post
from conversion_relay.service.settings import ServiceSettings
from conversion_relay.service.store.cluster import Role
from faults.process import SERVE, Segment, Service, Shop, end_all
from support.lines import Lines
from support.nodes import over
from support.postgres import new_database
from support.running import ADMIN

_ADMIN = {"Authorization": f"Bearer {ADMIN}"}
_BOUND_SECONDS = 30
_ENVIRONMENT = {
    "TIKTOK_ACCESS_TOKEN": "access-token",
    "TIKTOK_PIXEL_CODE": "PIXEL",
    "RELAY_BEARER_TOKEN": "bearer-token",
}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--role", "ingest"], "--role ingest: with sqlite:/// one process owns the database"),
        (["--role", "deliver"], "--role deliver: with sqlite:/// one process owns the database"),
        (
            ["--processes", "2"],
            "--processes 2: with sqlite:/// one process owns the file, and two",
        ),
    ],
)
def test_with_sqlite_one_process_does_all(tmp_path: Path, options: list[str], reason: str) -> None:
    url = f"sqlite:///{tmp_path / 'relay.db'}"
    environment = {**_ENVIRONMENT, "RELAY_DATABASE_URL": url}
    before = signal.getsignal(signal.SIGHUP)
    try:
        result = CliRunner().invoke(application, ["serve", *options], env=environment)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert result.exit_code == 2
    assert reason in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_there_is_a_port_for_each_process() -> None:
    settings = ServiceSettings(port=65530)
    with pytest.raises(ConfigurationError, match="6 processes need the ports from 65530 to 65536"):
        run(settings, Role.ALL, 6, _serves_nothing, Lines())


def test_a_port_that_is_taken_is_said_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = ServiceSettings(port=taken.getsockname()[1] - 1)
        log = Lines()
        with pytest.raises(ConfigurationError, match="cannot listen on 127"):
            run(settings, Role.ALL, 1, _serves_nothing, log)
        assert log.lines == []


def _serves_nothing(_: Post) -> None:
    raise AssertionError


def test_who_ends_again_and_again_is_started_later_each_time() -> None:
    pauses = [pause_seconds(failures) for failures in range(12)]
    assert pauses[0] <= 0.1
    assert pauses == sorted(pauses)
    assert pauses[-1] == pause_seconds(10_000) == 30.0


@pytest.fixture(autouse=True)
async def _nobody_stays() -> AsyncIterator[None]:
    """What a failed test left running ends; the processes behind it end with the first one."""
    yield
    await end_all()


@pytest.fixture
async def sandbox() -> AsyncIterator[tuple[Sandbox, str]]:
    """A sandbox and its address."""
    one = create_sandbox(clock=time.monotonic, access_tokens=frozenset({"access-token"}))
    async with running_sandbox(one) as api_url:
        yield one, api_url


async def _answers(url: str) -> bool:
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            return (await client.get(f"{url}/readyz")).is_success
        except httpx.TransportError:
            return False


async def _until_ready(*ports: int) -> None:
    async with asyncio.timeout(_BOUND_SECONDS):
        for port in ports:
            while not await _answers(f"http://127.0.0.1:{port}"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def _node_at(port: int) -> str:
    url = f"http://127.0.0.1:{port}/api/status"
    async with httpx.AsyncClient(trust_env=False, headers=_ADMIN) as client:
        return str((await client.get(url)).raise_for_status().json()["node"])


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
async def test_two_processes_lose_nothing_when_one_is_killed(
    tmp_path: Path, sandbox: tuple[Sandbox, str]
) -> None:
    judge, api_url = sandbox
    url = await asyncio.to_thread(new_database)
    changes = over(url, RELAY_NODE_NAME="relay", RELAY_CANARY="false")
    service = Service(tmp_path, api_url, (*SERVE, "--processes", "2"), changes)
    parent = await service.spawn()
    own = (service.port + 1, service.port + 2)
    await _until_ready(service.port, *own)
    assert [await _node_at(port) for port in own] == ["relay-1", "relay-2"]
    shop = Shop(6)
    segment = Segment(shop, service)
    pressing = asyncio.create_task(segment.press())
    await segment.posted.wait()
    killed = _children(parent.pid)[0]
    os.kill(killed, signal.SIGKILL)
    await _until_ready(service.port, *own)
    segment.posted.clear()
    await segment.posted.wait()
    assert killed not in _children(parent.pid)
    parent.send_signal(signal.SIGHUP)
    ended = [line for line in service.lines() if line["event"] == "processes.one_ended"]
    assert [(one["pid"], one["status"]) for one in ended] == [(killed, -signal.SIGKILL)]
    pressing.cancel()
    await asyncio.wait([pressing])
    await _all_counted(judge, shop)
    status, seconds = await service.stop()
    assert (status, seconds < 15) == (0, True)
    stopped = [(line["event"], line.get("process")) for line in service.lines()]
    assert {("service.stopped", "relay-1"), ("service.stopped", "relay-2")} <= set(stopped)
    assert stopped[-1] == ("processes.stopped", None)
    assert shop.verdict(judge).is_flawless, str(shop.verdict(judge))


async def _all_counted(judge: Sandbox, shop: Shop) -> None:
    """What the dead one had claimed goes again when its lease ends."""
    async with asyncio.timeout(90):
        while shop.acknowledged - {one.event_id for one in judge.ledger.conversions()}:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


@pytest.mark.slow
async def test_nobody_is_left_behind_when_the_first_process_is_killed(tmp_path: Path) -> None:
    changes = over(await asyncio.to_thread(new_database), RELAY_CANARY="false")
    service = Service(tmp_path, "http://127.0.0.1:9", (*SERVE, "--processes", "2"), changes)
    parent = await service.spawn()
    await _until_ready(service.port + 1, service.port + 2)
    children = _children(parent.pid)
    await service.kill()
    async with asyncio.timeout(_BOUND_SECONDS):
        while any(map(_is_alive, children)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert [line["event"] for line in service.lines()].count("service.stopped") == 2


def _is_alive(pid: int) -> bool:
    """And not only waiting for somebody to ask how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
