"""Unpacks a compressed body once all of it is here, and no further than it is taken.

While a body arrives, only what was sent of it is held: unpacked, that may be a thousand times as
much, and whoever sends slowly could have it held in every connection. Knows no JSON.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Final

PLAIN: Final = b"identity"
WINDOWS: Final[Mapping[bytes, int]] = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}
"""What zlib calls the format of each content coding that is taken."""


class DamagedBody(Exception):
    """The compressed data is damaged, ends too early, or is followed by something else."""


def inflate(packed: bytes, coding: bytes, max_bytes: int) -> bytes | None:
    """The unpacked body, or None where it has more than `max_bytes`.

    Args:
        packed: the whole compressed body.
        coding: a key of WINDOWS.
        max_bytes: no more is unpacked than a byte beyond.

    Raises:
        DamagedBody: it cannot be unpacked.
    """
    unpacking = zlib.decompressobj(WINDOWS[coding])
    try:
        body = unpacking.decompress(packed, max_bytes + 1)
    except zlib.error as error:
        raise DamagedBody from error
    if len(body) > max_bytes:
        return None
    if not unpacking.eof or unpacking.unused_data:
        raise DamagedBody
    return body
