"""Every request has an id: its own, or a sane one that it brings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.events import order
from support.running import World, world


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as running:
        yield running


@pytest.mark.parametrize(
    "path", ["/healthz", "/metrics", "/api/status", "/nowhere", "/webhook/nobody", "/v1/track"]
)
async def test_every_answer_has_an_id_of_its_own(here: World, path: str) -> None:
    answers = [await here.client.get(path) for _ in range(2)]
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == 2
    assert all(one.startswith("relay-") for one in ids)


async def test_lines_have_the_id_of_their_request(here: World) -> None:
    kept = await here.post(order("m-1"))
    refused = await here.post(order("m-2"), secret="wrong", bearer=None)
    batch = await here.post([order("m-3"), order("m-4")])
    await here.settled()
    about = [
        (event, details["request_id"], details.get("message_id"))
        for _, event, details in here.log.lines
        if event.startswith("webhook.")
    ]
    assert about == [
        ("webhook.kept", kept.headers["x-request-id"], "m-1"),
        ("webhook.refused", refused.headers["x-request-id"], None),
        ("webhook.kept", batch.headers["x-request-id"], None),
    ]


async def test_a_line_never_shows_a_message_id_that_could_be_anything(here: World) -> None:
    await here.post(order("lena.brandt@example.com"))
    await here.settled()
    ids = {
        event: details["message_id"]
        for _, event, details in here.log.lines
        if "message_id" in details
    }
    assert set(ids) == {"webhook.kept", "delivery.accepted"}
    assert len(set(ids.values())) == 1
    assert str(ids["webhook.kept"]).startswith("sha256:")
    assert "lena" not in str(here.log.lines)


@pytest.mark.parametrize(
    ("brought", "stays"),
    [
        ("0af7651916cd43dd8448eb211c80319c", True),
        ("proxy-1.node_2", True),
        ("a" * 64, True),
        ("a" * 65, False),
        ("lena@example.com", False),
        ("two words", False),
        ("", False),
    ],
)
async def test_an_id_that_looks_like_one_stays(here: World, brought: str, *, stays: bool) -> None:
    answer = await here.client.get("/healthz", headers={"X-Request-Id": brought})
    assert (answer.headers["x-request-id"] == brought) is stays
    assert len(answer.headers.get_list("x-request-id")) == 1
