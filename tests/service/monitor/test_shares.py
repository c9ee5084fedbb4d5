"""When a share has risen: by size, and beyond chance."""

from __future__ import annotations

from random import Random

import pytest

from conversion_relay.service.monitor.shares import (
    NOTHING,
    Share,
    has_risen,
    is_still_high,
    usual,
)


@pytest.mark.parametrize(
    ("bad", "everything", "before", "risen"),
    [
        (1, 2, Share(0, 0), False),  # one of two says nothing
        (5, 5, Share(0, 0), False),
        (6, 6, Share(0, 0), True),
        (6, 60, Share(0, 0), False),
        (15, 60, Share(10, 1_000), True),
        (8, 60, Share(10, 1_000), True),
        (300, 3_000, Share(10, 1_000), False),  # not large enough, however certain
        (30, 60, Share(480, 1_000), False),
        (60, 60, Share(480, 1_000), True),
        (60, 60, Share(990, 1_000), False),
        (50, 60, Share(800, 1_000), False),
    ],
)
def test_a_share_has_risen(bad: int, everything: int, before: Share, *, risen: bool) -> None:
    assert has_risen(Share(bad, everything), usual(before)) is risen


def test_little_is_expected_of_what_is_not_known() -> None:
    assert usual(NOTHING) == 0.05
    assert usual(Share(300, 980)) == pytest.approx(0.301)
    assert NOTHING.part == 0


@pytest.mark.parametrize(
    ("share", "still"),
    [(Share(60, 60), True), (Share(6, 60), False), (Share(7, 60), True), (NOTHING, False)],
)
def test_a_share_stays_high_until_it_is_near_the_usual_one(share: Share, *, still: bool) -> None:
    assert is_still_high(share, 0.05) is still


@pytest.mark.parametrize("part", [0.02, 0.3, 0.7, 0.95])
def test_chance_alone_never_raises_it(part: float) -> None:
    random = Random(3)  # noqa: S311 - a seeded test
    for _ in range(3_000):
        everything = random.choice((5, 30, 60, 300))
        bad = sum(random.random() < part for _ in range(everything))
        assert not has_risen(Share(bad, everything), usual(Share(3_600 * part, 3_600)))
