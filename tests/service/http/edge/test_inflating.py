"""Compressed bodies in pieces of every size: unpacked as they were, or not at all."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from conversion_relay.service.http.edge.inflating import DamagedBody, Inflating, PackedTooLarge


class _Pieces:
    """A client that sends these pieces."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._left = list(pieces)

    async def __call__(self) -> Message:
        """The next one."""
        piece = self._left.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(self._left)}


async def _unpacked(
    pieces: Sequence[bytes], coding: bytes = b"gzip", allowed: int = 1_000_000
) -> list[bytes]:
    receive = Inflating(_Pieces(pieces), coding, allowed)
    found: list[bytes] = []
    while True:
        message = await receive()
        found.append(message["body"])
        if not message["more_body"]:
            return found


def _cut(packed: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(packed), size):
        yield packed[at : at + size]


@given(st.binary(max_size=5000) | st.just(b"a" * 300_000), st.sampled_from([1, 7, 100, 10**6]))
def test_what_was_packed_comes_out(content: bytes, size: int) -> None:
    for coding, packed in (
        (b"gzip", gzip.compress(content)),
        (b"x-gzip", gzip.compress(content)),
        (b"deflate", zlib.compress(content)),
    ):
        found = asyncio.run(_unpacked([*_cut(packed, size)], coding))
        assert b"".join(found) == content
        assert max(map(len, found)) <= 64 * 1024, "never more at a time"


async def test_an_empty_message_at_the_end_is_no_fault() -> None:
    packed = gzip.compress(b"{}")
    assert b"".join(await _unpacked([packed[:5], b"", packed[5:], b""])) == b"{}"


_PACKED = gzip.compress(b'{"batch": []}' * 20)


@pytest.mark.parametrize(
    "pieces",
    [
        [b""],
        [b"{}"],
        [_PACKED[:-1]],
        [_PACKED[:-9]],
        [_PACKED[:3]],
        [_PACKED[:20] + b"\xff\xff" + _PACKED[22:]],
        [_PACKED[:-8] + b"\x00" * 8],  # another checksum
        [_PACKED + b"more"],
        [_PACKED, b"more"],
        [_PACKED + _PACKED],
        [zlib.compress(b"{}")],
    ],
)
async def test_what_is_damaged_is_refused(pieces: list[bytes]) -> None:
    with pytest.raises(DamagedBody):
        await _unpacked(pieces)


async def test_data_that_unpacks_to_nothing_comes_to_an_end() -> None:
    """A header with a file name without end."""
    header = b"\x1f\x8b\x08\x08" + b"\x00" * 6
    with pytest.raises(PackedTooLarge):
        await _unpacked([header, *[b"x" * 1000] * 100], allowed=50_000)


async def test_a_client_that_leaves_is_passed_on() -> None:
    async def gone() -> Message:
        return {"type": "http.disconnect"}

    assert (await Inflating(gone, b"gzip", 10)())["type"] == "http.disconnect"
