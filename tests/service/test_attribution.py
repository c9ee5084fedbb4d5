"""Lines say which request they belong to, through every task that works for it."""

from __future__ import annotations

import asyncio

import pytest

from conversion_relay.service.attribution import Attributed, begin, concern, end, shown_id
from support.lines import Lines


async def test_a_line_belongs_to_the_request_that_causes_it() -> None:
    lines = Lines()
    log = Attributed(lines)

    async def serve(name: str) -> None:
        token = begin(name)
        try:
            await asyncio.sleep(0)
            log.info("webhook.kept", source="web")
            concern(f"m-{name}")
            await asyncio.gather(later(), later())
        finally:
            end(token)

    async def later() -> None:
        log.error("ingest.not_kept")

    await asyncio.gather(serve("one"), serve("two"))
    log.warning("lane.throttled")
    found = sorted(
        (event, details.get("request_id"), details.get("message_id"))
        for _, event, details in lines.lines
        if details
    )
    assert found == [
        ("ingest.not_kept", "one", "m-one"),
        ("ingest.not_kept", "one", "m-one"),
        ("ingest.not_kept", "two", "m-two"),
        ("ingest.not_kept", "two", "m-two"),
        ("webhook.kept", "one", None),
        ("webhook.kept", "two", None),
    ]
    assert lines.lines[-1] == ("warning", "lane.throttled", {})


def test_what_a_line_says_itself_stays() -> None:
    lines = Lines()
    token = begin("mine")
    Attributed(lines).info("delivery.accepted", request_id="theirs")
    end(token)
    assert lines.lines == [("info", "delivery.accepted", {"request_id": "theirs"})]


def test_without_a_request_nothing_is_about_an_event() -> None:
    concern("m-1")
    lines = Lines()
    Attributed(lines).info("service.stopped")
    assert lines.lines == [("info", "service.stopped", {})]


@pytest.mark.parametrize(
    "message_id", ["m-1", "ajs-next-1795000000-4f", "a" * 100, "sha256:00ff", "A.b_c:d-9"]
)
def test_an_id_is_shown(message_id: str) -> None:
    assert shown_id(message_id) == message_id


@pytest.mark.parametrize(
    "message_id", ["ada@example.com", "a" * 101, "", "m 1", "m\n1", "m-1\n", "Zoë", "\ud800"]
)
def test_what_could_be_anything_is_hashed(message_id: str) -> None:
    shown = shown_id(message_id)
    assert shown.startswith("sha256:")
    assert len(shown) == len("sha256:") + 32
    assert shown_id(shown) == shown
