"""Compressed bodies: unpacked as they were, or not at all, and never beyond the limit."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.service.http.edge.inflating import DamagedBody, inflate

_LIMIT = 300_000


@given(st.binary(max_size=5000) | st.just(b"a" * _LIMIT), st.integers(0, 2))
def test_what_was_packed_comes_out(content: bytes, beyond: int) -> None:
    for coding, packed in (
        (b"gzip", gzip.compress(content)),
        (b"x-gzip", gzip.compress(content)),
        (b"deflate", zlib.compress(content)),
    ):
        assert inflate(packed, coding, len(content) + beyond) == content
        if content:
            assert inflate(packed, coding, len(content) - 1) is None


_PACKED = gzip.compress(b'{"batch": []}' * 20, mtime=0)  # the workers collect the same tests


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"{}",
        _PACKED[:-1],
        _PACKED[:-9],
        _PACKED[:3],
        _PACKED[:20] + b"\xff\xff" + _PACKED[22:],
        _PACKED[:-8] + b"\x00" * 8,  # another checksum
        _PACKED + b"more",
        _PACKED + _PACKED,
        zlib.compress(b"{}"),
        b"\x1f\x8b\x08\x08" + b"\x00" * 6 + b"x" * 1000,  # a file name without end
    ],
)
def test_what_is_damaged_is_refused(packed: bytes) -> None:
    with pytest.raises(DamagedBody):
        inflate(packed, b"gzip", _LIMIT)


def test_a_bomb_is_unpacked_up_to_the_limit_only() -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    tracemalloc.start()
    unpacked = inflate(bomb, b"gzip", _LIMIT)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert unpacked is None
    assert peak < 3 * _LIMIT
