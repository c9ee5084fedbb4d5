"""The sandbox on a real socket: resets, silence, and how it stops."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading

import httpx
import pytest

from conversion_relay.errors import ConfigurationError
from conversion_relay.sandbox import (
    TRACK_PATH,
    Sandbox,
    create_sandbox,
    parse_fault,
    running,
    running_in_thread,
    serve,
)
from sandbox.bodies import NOW, body, event

TOKEN = {"Access-Token": "secret-token"}


@pytest.fixture
def sandbox() -> Sandbox:
    return create_sandbox(clock=lambda: NOW)


async def test_resets_and_silence_end_as_a_client_sees_them(sandbox: Sandbox) -> None:
    async with running(sandbox) as url, httpx.AsyncClient(base_url=url, headers=TOKEN) as client:
        sandbox.faults.switch_on([parse_fault("reset,count=1")])
        with pytest.raises(httpx.ReadError):
            await client.post(TRACK_PATH, json=body(event("a")))
        sandbox.faults.switch_on([parse_fault("accept_then_reset,count=1")])
        with pytest.raises(httpx.ReadError):
            await client.post(TRACK_PATH, json=body(event("b")))
        sandbox.faults.switch_on([parse_fault("accept_then_hang,count=1")])
        with pytest.raises(httpx.ReadTimeout):
            await client.post(TRACK_PATH, json=body(event("c")), timeout=0.05)
        answer = await client.post(TRACK_PATH, json=body(event("c")))
    assert answer.json()["code"] == 0
    counted = {one.event_id: one.copies for one in sandbox.ledger.conversions()}
    assert counted == {"b": 0, "c": 1}


async def test_a_late_request_whose_client_left_counts_nothing(sandbox: Sandbox) -> None:
    async with running(sandbox) as url, httpx.AsyncClient(base_url=url, headers=TOKEN) as client:
        sandbox.faults.switch_on([parse_fault("timeout=3600,count=1")])
        with pytest.raises(httpx.ReadTimeout):
            await client.post(TRACK_PATH, json=body(event("a")), timeout=0.05)
        await client.post(TRACK_PATH, json=body(event("b")))
    assert [one.event_id for one in sandbox.ledger.conversions()] == ["b"]
    assert [entry["status"] for entry in sandbox.journal.latest()] == [None, 200]


async def test_stopping_ends_what_hangs() -> None:
    began = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        began.set()
        await asyncio.Event().wait()

    sandbox = create_sandbox(clock=lambda: NOW, faults=[parse_fault("timeout=9")], sleep=sleep)
    async with httpx.AsyncClient(headers=TOKEN) as client:
        async with asyncio.timeout(2), running(sandbox) as url:
            hanging = asyncio.create_task(client.post(url + TRACK_PATH, json=body(event())))
            await began.wait()
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await hanging


def test_in_a_thread_it_stops_when_told(sandbox: Sandbox) -> None:
    with running_in_thread(sandbox) as url:
        answer = httpx.post(url + TRACK_PATH, json=body(event()), headers=TOKEN)
    assert answer.json()["code"] == 0
    assert len(sandbox.ledger.conversions()) == 1
    with pytest.raises(httpx.ConnectError):
        httpx.get(url + "/__sandbox/conversions")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_makes_serve_come_back(sandbox: Sandbox, number: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    before = signal.getsignal(number)

    def stop_once_it_answers() -> None:
        transport = httpx.HTTPTransport(retries=20)
        with httpx.Client(transport=transport, headers=TOKEN) as client:
            client.post(f"http://127.0.0.1:{port}{TRACK_PATH}", json=body(event()))
        os.kill(os.getpid(), number)

    stopper = threading.Thread(target=stop_once_it_answers)
    stopper.start()
    serve(sandbox, port)
    stopper.join()
    assert len(sandbox.ledger.conversions()) == 1
    assert signal.getsignal(number) is before


def test_a_taken_port_is_a_configuration_error(sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1:{port}"):
            serve(sandbox, port)
