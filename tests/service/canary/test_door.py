"""How the canary reaches the service's own webhook."""

from __future__ import annotations

import pytest

from conversion_relay.service.canary.door import own_address, webhook
from conversion_relay.service.canary.event import BEARER
from support.alerts import Receiver, receiving
from support.ports import free_port


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),  # noqa: S104
        ("192.168.7.1", "http://192.168.7.1:8080"),
        ("::", "http://[::1]:8080"),
        ("::1", "http://[::1]:8080"),
        ("fe80::1%lo", "http://[fe80::1]:8080"),
    ],
)
def test_it_comes_from_this_machine(host: str, address: str) -> None:
    assert own_address(host, 8080) == address


async def test_it_shows_its_token_and_no_proxy_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{free_port()}")
    receiver = Receiver()
    async with receiving(receiver) as address, webhook(address) as post:
        assert await post(b"{}") is None
    ((headers, body),) = receiver.got
    assert headers["authorization"] == f"Bearer {BEARER}"
    assert len(BEARER) >= 43  # 256 bits
    assert body == b"{}"


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (503, b'{"title": "Busy"}', "the webhook answered with status 503: Busy"),
        (503, b'["Busy"]', "the webhook answered with status 503"),
        (500, b"oops", "the webhook answered with status 500"),
        (302, b"", "the webhook answered with status 302"),
    ],
)
async def test_what_the_webhook_answers_is_told(status: int, body: bytes, reason: str) -> None:
    async with receiving(Receiver(status, body=body)) as address, webhook(address) as post:
        assert await post(b"{}") == reason


async def test_a_webhook_that_does_not_answer() -> None:
    async with receiving(Receiver(hangs=True)) as address, webhook(address, 0.2) as post:
        assert await post(b"{}") == "the webhook did not answer within 0.2 s"


async def test_a_webhook_that_is_not_there() -> None:
    async with webhook(f"http://127.0.0.1:{free_port()}") as post:
        assert await post(b"{}") == "the webhook cannot be reached"
