"""Batches, and the door that takes them, tries again for a while, and then gives up."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.errors import RelayError
from conversion_relay.service.backfill.reading import ExportedEvent, Line
from conversion_relay.service.backfill.sending import PAUSES_SECONDS, Batch, Bounds, Door, batches
from conversion_relay.service.http.admin.backfill import BackfillAnswer

KEPT = {
    "accepted": 2,
    "duplicates": 1,
    "planned": 2,
    "unmatched": 0,
    "rejected": 0,
    "quarantined": 0,
    "suppressed": 0,
}
ANSWER = BackfillAnswer.model_validate(KEPT)


def line(number: int, *texts: bytes) -> Line:
    return Line(number, tuple(ExportedEvent("A", None, text) for text in texts))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], []),
        ([line(1)], [Batch((), 1)]),
        ([line(1, b"a"), line(2), line(3, b"b")], [Batch((b"a", b"b"), 3)]),
        (
            [line(1, b"a"), line(2, b"b"), line(3, b"c"), line(4)],
            [Batch((b"a", b"b"), 2), Batch((b"c",), 4)],
        ),
        (
            [line(1, b"a"), line(2, b"b", b"c", b"d", b"e", b"f")],
            [Batch((b"a", b"b"), 1), Batch((b"c", b"d"), 1), Batch((b"e", b"f"), 2)],
        ),
        (
            [line(5, b"a"), line(6, b"larger than it may be"), line(7, b"b")],
            [Batch((b"a",), 5), Batch((b"larger than it may be",), 6), Batch((b"b",), 7)],
        ),
    ],
)
def test_batches(lines: list[Line], expected: list[Batch]) -> None:
    assert list(batches(lines, Bounds(2, 10))) == expected


@given(
    st.lists(st.lists(st.binary(max_size=5), max_size=5)), st.integers(1, 4), st.integers(1, 12)
)
def test_every_event_is_in_one_batch_and_no_line_is_done_before_its_events(
    content: list[list[bytes]], events: int, size_bytes: int
) -> None:
    lines = [line(number, *texts) for number, texts in enumerate(content, start=1)]
    made = list(batches(lines, Bounds(events, size_bytes)))
    assert [one for batch in made for one in batch.events] == [
        one for texts in content for one in texts
    ]
    sent = 0
    for batch in made:
        sent += len(batch.events)
        assert sent >= sum(len(texts) for texts in content[: batch.lines_done])
        assert len(batch.events) <= events
        assert len(batch.events) < 2 or len(b",".join(batch.events)) <= size_bytes
    assert (made[-1].lines_done if made else 0) == len(lines)


class Pauses:
    """Waits not at all, and remembers how long it should have."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.reasons: list[str] = []

    async def pause(self, seconds: float) -> None:
        """Does not wait."""
        self.seconds.append(seconds)

    def waiting(self, reason: str, _: float) -> None:
        """Keeps the reason."""
        self.reasons.append(reason)


async def _take(
    answer: Callable[[httpx.Request], httpx.Response], pauses: Pauses
) -> BackfillAnswer:
    transport = httpx.MockTransport(answer)
    async with httpx.AsyncClient(transport=transport, base_url="http://relay") as client:
        return await Door(client, "web", pauses.pause, pauses.waiting).take([b'{"a":1}', b"{}"])


async def test_events_go_as_one_list_under_their_source() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=KEPT)

    pauses = Pauses()
    assert await _take(answer, pauses) == ANSWER
    (request,) = seen
    assert request.content == b'[{"a":1},{}]'
    assert (request.url.path, request.url.params["source"]) == ("/api/backfill", "web")
    assert pauses.seconds == []


@pytest.mark.parametrize("status", [503, 429])
async def test_a_service_that_is_busy_is_asked_again(status: int) -> None:
    answers = iter([status, status, 200])

    def answer(_: httpx.Request) -> httpx.Response:
        code = next(answers)
        return httpx.Response(code, json=KEPT if code == 200 else {"detail": "Not now."})

    pauses = Pauses()
    assert await _take(answer, pauses) == ANSWER
    assert pauses.seconds == list(PAUSES_SECONDS[:2])
    assert pauses.reasons == ["Not now.", "Not now."]


async def test_a_service_that_is_away_is_asked_again_for_a_while_only() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        message = "with something that stands in the address"
        raise httpx.ConnectError(message, request=request)

    pauses = Pauses()
    with pytest.raises(RelayError, match=r"did not take .* for 120 s: it cannot be reached"):
        await _take(answer, pauses)
    assert pauses.seconds == list(PAUSES_SECONDS)


@pytest.mark.parametrize(
    ("status", "content", "words"),
    [
        (404, orjson.dumps({"detail": "No such source."}), "No such source."),
        (413, b"<html>proxy</html>", "HTTP status 413"),
        (401, b"[]", "HTTP status 401"),
        (500, b"", "HTTP status 500"),
    ],
)
async def test_a_refusal_is_said_at_once(status: int, content: bytes, words: str) -> None:
    pauses = Pauses()
    with pytest.raises(RelayError, match="service") as raised:
        await _take(lambda _: httpx.Response(status, content=content), pauses)
    assert words in str(raised.value)
    assert pauses.seconds == []


async def test_an_answer_that_is_none_of_ours_is_no_success() -> None:
    with pytest.raises(RelayError, match="no service of ours"):
        await _take(lambda _: httpx.Response(200, content=b"<html>"), Pauses())
