"""From bytes to events: forms of lines, odd files, and the law that every line is counted once."""

from __future__ import annotations

import gzip
import io
import tracemalloc
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.service.backfill.reading import (
    MAX_EVENT_BYTES,
    MAX_LINE_BYTES,
    Damage,
    Line,
    moment,
    read,
)

ONE = b'{"type":"track","event":"Order Completed","messageId":"m-1"}'
TWO = b'{"type": "page", "messageId": "m-2", "timestamp": "2026-11-20T10:15:30Z"}'


def lines(content: bytes) -> list[Line | Damage]:
    return list(read(io.BytesIO(content)))


def texts(content: bytes) -> list[tuple[int, bytes]]:
    """The lines' numbers and the events' texts."""
    return [
        (line.number, event.text)
        for line in lines(content)
        if isinstance(line, Line)
        for event in line.events
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (ONE + b"\n" + TWO + b"\n", [(1, ONE), (2, TWO)]),
        (ONE + b"\n" + TWO, [(1, ONE), (2, TWO)]),
        (ONE + b"\r\n" + TWO + b"\r\n", [(1, ONE), (2, TWO)]),
        (b"\xef\xbb\xbf" + ONE + b"\n", [(1, ONE)]),
        (b"\xef\xbb\xbf[" + ONE + b"]\n", [(1, ONE)]),
        (b"\n\n  \n" + ONE + b"\n\r\n" + TWO, [(4, ONE), (6, TWO)]),
        (b"[" + ONE + b" , " + TWO + b"]\n" + ONE, [(1, ONE), (1, TWO), (2, ONE)]),
        (b"[]\n" + ONE, [(2, ONE)]),
        (b"", []),
        (b"\n", []),
    ],
)
def test_an_event_keeps_the_bytes_it_has_in_the_file(
    content: bytes, expected: list[tuple[int, bytes]]
) -> None:
    assert texts(content) == expected
    assert texts(gzip.compress(content)) == expected
    assert all(isinstance(one, Line) and not one.problems for one in lines(content))


def test_several_gzip_members_are_one_file() -> None:
    packed = gzip.compress(ONE + b"\n") + gzip.compress(TWO) + b"\0" * 512
    assert texts(packed) == [(1, ONE), (2, TWO)]


def test_the_events_of_a_batch_get_what_they_share() -> None:
    batch = {
        "batch": [
            {"type": "track", "event": "A", "messageId": "m-1"},
            {"type": "page", "sentAt": "2026-11-20T00:00:00Z", "context": {"ip": "192.0.2.1"}},
        ],
        "context": {"locale": "de-DE"},
        "sentAt": "2026-11-21T00:00:00Z",
        "writeKey": "not-to-be-kept",
    }
    found = [orjson.loads(text) for _, text in texts(orjson.dumps(batch))]
    assert found == [
        {
            "context": {"locale": "de-DE"},
            "sentAt": "2026-11-21T00:00:00Z",
            "type": "track",
            "event": "A",
            "messageId": "m-1",
        },
        {"context": {"ip": "192.0.2.1"}, "sentAt": "2026-11-20T00:00:00Z", "type": "page"},
    ]


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (b"nonsense", "is no JSON"),
        (b'{"type": "track"', "is no JSON"),
        (b"\xff\xfe{\x00", "is no JSON: not UTF-8 at byte 1"),
        (b"\x00\x00", "is no JSON"),
        (b'{"type": "track", "n": NaN}', "is no JSON: a number that JSON does not have"),
        (b"[" * 10_000, "is no JSON"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "is no JSON: nested too deeply"),
        (b"5", "holds no event: an event is a JSON object, this is a number"),
        (b'"text"', "holds no event"),
        (b"{}", 'holds no event: "type" must be a word'),
        (b'{"batch": 5}', 'holds no event: "type" must be a word'),
        (b'{"type": "track", "x": "' + b"x" * MAX_EVENT_BYTES + b'"}', "holds an event of more"),
        (ONE + b" " + TWO, "is no JSON"),
    ],
)
def test_a_bad_line_is_named_and_costs_no_other_one(bad: bytes, problem: str) -> None:
    first, second, third = lines(ONE + b"\n" + bad + b"\n" + TWO)
    assert isinstance(first, Line)
    assert isinstance(second, Line)
    assert isinstance(third, Line)
    assert (len(first.events), len(second.events), len(third.events)) == (1, 0, 1)
    assert (second.number, third.number) == (2, 3)
    assert second.problems[0].startswith(problem)
    assert len(second.problems) == 1


@pytest.mark.parametrize(
    "bad", [b"5", b"null", b'{"type": "", "messageId": "secret"}', b'{"type": 1e999, "x": NaN}']
)
def test_a_bad_element_costs_no_other_one(bad: bytes) -> None:
    (line,) = lines(b"[" + ONE + b"," + bad + b"," + TWO + b"]")
    assert isinstance(line, Line)
    assert [event.text for event in line.events] == [ONE, TWO]
    assert len(line.problems) == 1
    assert "secret" not in line.problems[0]


def test_a_list_that_breaks_off_gives_what_comes_before() -> None:
    (line,) = lines(b"[" + ONE + b"," + TWO[:-4])
    assert isinstance(line, Line)
    assert [event.text for event in line.events] == [ONE]
    assert line.problems[0].startswith("is no JSON")


class _Endless(io.BytesIO):
    """A line six times as long as allowed, then one that can be read."""

    def __init__(self) -> None:
        super().__init__()
        self._left = 6 * MAX_LINE_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        """So much more of it."""
        if self._left < 0:
            return b""
        self._left -= size or 0
        return b"x" * (size or 0) if self._left >= 0 else b"\n" + ONE


def test_a_line_without_an_end_does_not_fill_the_memory() -> None:
    tracemalloc.start()
    first, second = list(read(_Endless()))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert first == Line(1, problems=(f"is longer than {MAX_LINE_BYTES} bytes",))
    assert isinstance(second, Line)
    assert (second.number, len(second.events)) == (2, 1)
    assert peak_bytes < 3 * MAX_LINE_BYTES


def test_a_truncated_checksum_costs_no_line() -> None:
    *whole, damage = lines(gzip.compress(ONE + b"\n" + TWO + b"\n")[:-4])
    assert [len(one.events) for one in whole if isinstance(one, Line)] == [1, 1]
    assert damage.number == 3


def test_what_comes_before_the_end_of_a_truncated_gzip_counts() -> None:
    content = b"\n".join(b'{"type":"track","messageId":"%d"}' % n for n in range(50_000))
    packed = gzip.compress(content)
    *whole, damage = lines(packed[: len(packed) // 2])
    assert isinstance(damage, Damage)
    assert "too early" in damage.reason
    assert len(whole) > 10_000
    assert damage.number == len(whole) + 1
    assert all(isinstance(one, Line) and len(one.events) == 1 for one in whole)


@pytest.mark.parametrize(
    ("packed", "reason"),
    [
        (gzip.compress(ONE, mtime=0)[:-4], "too early"),
        (b"\x1f\x8b", "too early"),
        (b"\x1f\x8bnonsense", "damaged"),
        (gzip.compress(ONE, mtime=0)[:-8] + bytes(8), "damaged"),
        (gzip.compress(ONE + b"\n", mtime=0) + b"more", "damaged"),
    ],
)
def test_damaged_gzip_is_said(packed: bytes, reason: str) -> None:
    damage = lines(packed)[-1]
    assert isinstance(damage, Damage)
    assert reason in damage.reason


class _Failing(io.BytesIO):
    """A disk that fails after the first piece."""

    def read(self, size: int | None = -1, /) -> bytes:
        """The content once, then an error."""
        found = super().read(size)
        if not found:
            raise OSError(5, "Input/output error")
        return found


def test_a_disk_that_fails_is_a_damage() -> None:
    found = list(read(_Failing(ONE + b"\n" + TWO)))
    assert [one.number for one in found] == [1, 2]
    assert found[1] == Damage(2, "it cannot be read: Input/output error")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-20T10:15:30.250Z", datetime(2026, 11, 20, 10, 15, 30, tzinfo=UTC)),
        ("2026-11-20T12:15:30+02:00", datetime(2026, 11, 20, 10, 15, 30, tzinfo=UTC)),
        ("2026-11-20 10:15:30", datetime(2026, 11, 20, 10, 15, 30, tzinfo=UTC)),
        (1_795_169_730, datetime(2026, 11, 20, 10, 15, 30, tzinfo=UTC)),
        (1_795_169_730_000, datetime(2026, 11, 20, 10, 15, 30, tzinfo=UTC)),
        ("1795169730", datetime(2026, 11, 20, 10, 15, 30, tzinfo=UTC)),
        ("1795169730000", datetime(2026, 11, 20, 10, 15, 30, tzinfo=UTC)),
        (1_795_169_730_000_000, datetime(2026, 11, 20, 10, 15, 30, tzinfo=UTC)),
        (1_795_169_730.5, datetime(2026, 11, 20, 10, 15, 30, tzinfo=UTC)),
        ("Fri, 20 Nov 2026 10:15:30 GMT", datetime(2026, 11, 20, 10, 15, 30, tzinfo=UTC)),
        ("11/20/2026 10:15:30", datetime(2026, 11, 20, 10, 15, 30, tzinfo=UTC)),
        ("2026-11-20 10:15:30 UTC", datetime(2026, 11, 20, 10, 15, 30, tzinfo=UTC)),
        ("1969-01-01", datetime(1969, 1, 1, tzinfo=UTC)),
        ("2100-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+23:59", None),
        (float("nan"), None),
        ("yesterday", None),
        ("", None),
        (None, None),
        (True, None),
        (1e300, None),
        (10**400, None),
        ({}, None),
    ],
)
def test_moments(value: object, expected: datetime | None) -> None:
    assert moment(value) == expected  # type: ignore[arg-type]  # any JSON


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"timestamp": "2026-11-01T00:00:00Z", "receivedAt": "2026-11-02T00:00:00Z"}, 1),
        ({"timestamp": "unreadable", "originalTimestamp": "2026-11-03T00:00:00Z"}, 3),
        ({"receivedAt": "2026-11-04T00:00:00Z", "sentAt": "2026-11-05T00:00:00Z"}, 4),
        ({"sentAt": "2026-11-05T00:00:00Z"}, 5),
        ({}, None),
    ],
)
def test_when_an_event_happened(event: dict[str, str], expected: int | None) -> None:
    (line,) = lines(orjson.dumps({"type": "page", **event}))
    assert isinstance(line, Line)
    (found,) = line.events
    day = None if found.happened_at is None else found.happened_at.day
    assert (found.name, day) == ("page", expected)


def test_of_a_line_full_of_nonsense_only_the_beginning_is_named() -> None:
    (line,) = lines(b"[" + b"0," * 5_000 + b"0]")
    assert isinstance(line, Line)
    assert (len(line.problems), line.unreadable) == (20, 5_001)


@pytest.mark.parametrize(("kind", "name"), [("page", "page"), ("lena@example.com", "other")])
def test_a_type_is_shown_only_where_it_is_one_of_segments(kind: str, name: str) -> None:
    (line,) = lines(orjson.dumps({"type": kind, "event": "Lena"}))
    assert isinstance(line, Line)
    assert [one.name for one in line.events] == [name]


_BYTES = st.binary(max_size=200) | st.lists(
    st.sampled_from(
        [ONE, TWO, b"\n", b"\r\n", b"[", b"]", b",", b"{", b'"', b"\xff", b"\xef\xbb\xbf"]
    )
).map(b"".join)


@given(_BYTES)
def test_whatever_a_file_holds_every_line_is_counted_once(content: bytes) -> None:
    if content.startswith(b"\x1f\x8b"):
        content = b"\n" + content
    expected = content.split(b"\n")
    expected = expected if expected[-1] else expected[:-1]
    for found in (lines(content), lines(gzip.compress(content, mtime=0))):
        assert [one.number for one in found] == list(range(1, len(expected) + 1))
        for one, raw in zip(found, expected, strict=True):
            assert isinstance(one, Line)
            blank = not raw.removeprefix(b"\xef\xbb\xbf").strip()
            nothing = raw.removeprefix(b"\xef\xbb\xbf").strip() == b"[]"
            assert bool(one.events or one.problems) or blank or nothing


@given(st.lists(st.sampled_from([ONE, TWO, b"bad", b""]), max_size=30), st.integers(0, 400))
def test_a_cut_file_gives_a_beginning_of_the_whole(content: list[bytes], cut: int) -> None:
    packed = gzip.compress(b"\n".join(content), mtime=0)
    whole, part = lines(packed), lines(packed[:cut])
    kept = [one for one in part if isinstance(one, Line)]
    if cut >= len(packed):
        assert part == whole
    elif cut >= 2:
        assert kept == whole[: len(kept)]
        assert isinstance(part[-1], Damage)
