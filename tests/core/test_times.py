"""What a text may mean in seconds; the forms are compared with Node where a destination asks."""

from __future__ import annotations

import pytest

from conversion_relay.core.times import possible_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-05T10:00:00Z", (1_767_607_200,)),
        ("Mon, 05 Jan 2026 10:00:00 GMT", (1_767_607_200,)),
        ("1767607200000", (1_767_607_200_000, 1_767_607_200, 1_767_607)),
        ("1969-12-31T23:59:59Z", (-1,)),
        ("soon", ()),
        ("2026-01-05T10:00:00Z" + " " * 80 + "x", ()),
    ],
)
def test_a_text_means_seconds(text: str, seconds: tuple[int, ...]) -> None:
    assert possible_seconds(text) == seconds
