"""Posting past the guard: only to judged addresses, without redirects, within bounds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conversion_relay.service.alerting.channel import NotSent, Sent
from conversion_relay.service.alerting.guard import AddressRefused, Guard, resolve
from conversion_relay.service.alerting.posting import post
from support.alerts import HERE, Receiver, on_loopback, receiving
from support.certificates import encryption_for
from support.ports import free_port

PRIVATE_ONLY = "only public ones are allowed, or private ones with alerts.allow_private_addresses"


class Names:
    """A name server that gives one answer after the other."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """The next answer; the last one again and again."""
        self.asked.append(f"{host}:{port}")
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def _named(address: str, name: str = "hooks.example") -> str:
    return address.replace("127.0.0.1", name)


async def test_a_message_gets_there_by_name() -> None:
    receiver = Receiver(status=204, body=b"")
    async with receiving(receiver) as address:
        assert await post(f"{_named(address)}/secret", b"{}", {"x-a": "b"}, HERE) == Sent()
    ((headers, body),) = receiver.got
    assert body == b"{}"
    assert headers["host"] == _named(address).removeprefix("http://")
    assert headers["content-type"] == "application/json"
    assert headers["x-a"] == "b"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::1]"],
)
async def test_this_machine_is_refused_however_it_is_written(host: str) -> None:
    receiver = Receiver()
    async with receiving(receiver) as address:
        result = await post(_named(address, host), b"{}", {}, Guard(allow_private=False))
    assert isinstance(result, NotSent)
    assert not receiver.got


async def test_a_name_that_leads_inside_is_refused_with_the_way_out() -> None:
    guard = Guard(allow_private=False, resolve=on_loopback)
    result = await post("http://hooks.example/secret", b"{}", {}, guard)
    assert isinstance(result, NotSent)
    assert PRIVATE_ONLY in result.reason
    assert "127.0.0.1" not in result.reason
    assert "secret" not in result.reason


async def test_the_name_is_asked_once_so_that_it_cannot_mean_another_machine_by_then() -> None:
    names = Names(["8.8.8.8"], ["127.0.0.1"])
    guard = Guard(allow_private=False, resolve=names)
    assert await guard.addresses("hooks.example", 443) == ["8.8.8.8"]
    # And what is connected to is what was judged: a name nobody else knows gets there.
    receiver = Receiver()
    async with receiving(receiver) as address:
        once = Names(["127.0.0.1"], ["0.0.0.0"])  # noqa: S104 - what it must not ask for again
        result = await post(_named(address), b"{}", {}, Guard(allow_private=True, resolve=once))
    assert result == Sent()
    assert len(once.asked) == 1


async def test_of_several_addresses_the_private_ones_are_left_out() -> None:
    guard = Guard(allow_private=False, resolve=Names(["10.0.0.1", "8.8.8.8", "::1"]))
    assert await guard.addresses("hooks.example", 443) == ["8.8.8.8"]


async def test_the_next_address_is_tried_when_one_takes_no_connection() -> None:
    receiver = Receiver()
    async with receiving(receiver) as address:
        guard = Guard(allow_private=True, resolve=Names(["127.9.9.9", "127.0.0.1"]))
        assert await post(_named(address), b"{}", {}, guard) == Sent()
    assert len(receiver.got) == 1


@pytest.mark.parametrize("names", [Names([]), Names(["10.0.0.1"])])
async def test_without_a_good_address_there_is_none(names: Names) -> None:
    with pytest.raises(AddressRefused):
        await Guard(allow_private=False, resolve=names).addresses("hooks.example", 443)


async def test_of_very_many_addresses_only_the_first_are_tried() -> None:
    guard = Guard(allow_private=False, resolve=Names([f"8.8.8.{one}" for one in range(200)]))
    assert await guard.addresses("hooks.example", 443) == [f"8.8.8.{one}" for one in range(4)]


async def test_a_lookup_does_not_wait_for_the_threads_of_the_service() -> None:
    loop, done = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(ThreadPoolExecutor(1))
    busy = loop.run_in_executor(None, done.wait)
    try:
        async with asyncio.timeout(10):
            assert await resolve("127.0.0.1", 80) == ["127.0.0.1"]
    finally:
        done.set()
        await busy


async def test_a_name_that_does_not_resolve_is_said_without_the_name() -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError(f"no {host} {port}")

    guard = Guard(allow_private=False, resolve=unknown)
    result = await post("https://hooks.example/secret", b"{}", {}, guard)
    assert result == NotSent("the name of the host does not resolve")


async def test_redirects_are_not_followed() -> None:
    elsewhere = Receiver()
    async with receiving(elsewhere) as target:
        receiver = Receiver(302, {"Location": target})
        async with receiving(receiver) as address:
            result = await post(address, b"{}", {}, HERE)
    assert result == NotSent("status 302, and redirects are not followed")
    assert not elsewhere.got


@pytest.mark.parametrize(
    ("status", "headers", "after"),
    [
        (500, {}, None),
        (404, {}, None),
        (429, {"Retry-After": "30"}, 30.0),
        (503, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
    ],
)
async def test_any_other_status_is_a_failure(
    status: int, headers: dict[str, str], after: float | None
) -> None:
    receiver = Receiver(status, headers, b"no: /secret")
    async with receiving(receiver) as address:
        assert await post(address, b"{}", {}, HERE) == NotSent(f"status {status}", after)


async def test_the_environments_proxies_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{free_port()}")
    receiver = Receiver()
    async with receiving(receiver) as address:
        assert await post(address, b"{}", {}, HERE) == Sent()


async def test_who_never_answers_is_given_up() -> None:
    async with receiving(Receiver(hangs=True)) as address:
        result = await post(address, b"{}", {}, HERE, total_seconds=0.2)
    assert result == NotSent("no answer within 0.2 s")


async def test_nobody_there_is_said_without_an_address() -> None:
    result = await post(f"http://127.0.0.1:{free_port()}/secret", b"{}", {}, HERE)
    assert result == NotSent("connect error")


async def test_an_endless_answer_is_not_read_to_its_end() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert await post(f"http://127.0.0.1:{port}/", b"", {}, HERE) == Sent()


@pytest.mark.parametrize(("name", "good"), [("hooks.example", True), ("other.example", False)])
async def test_the_certificate_is_that_of_the_name(name: str, good: bool, tmp_path: Path) -> None:
    server, client = encryption_for("hooks.example", tmp_path)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        guard = Guard(allow_private=True, resolve=on_loopback, encryption=lambda: client)
        result = await post(f"https://{name}:{port}/", b"", {}, guard)
    assert result == (Sent() if good else NotSent("connect error"))
