"""Outages as answers show them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from conversion_relay.service.report.outages import outages_of, sharpened
from conversion_relay.service.store.history import AnswerCount, RequestRecord
from support.past import NIGHT

MINUTE = timedelta(minutes=1)


def answers(course: str, destination: str = "tiktok") -> list[AnswerCount]:
    """A minute for each sign: a accepted, f failed, b both, r refused, one failure, . silence."""
    kinds = {"a": [("accepted", 200)], "f": [("unknown", 502)], "r": [("refused", 200)]}
    kinds |= {"b": [*kinds["f"], *kinds["a"]], "1": kinds["f"], ".": []}
    return [
        AnswerCount(
            NIGHT + number * MINUTE, destination, result, status, None, 1 if sign == "1" else 4, 9
        )
        for number, sign in enumerate(course)
        for result, status in kinds[sign]
    ]


@pytest.mark.parametrize(
    ("course", "expected"),
    [
        ("aaaa", []),
        ("aaffaa", [(2, 4)]),
        ("aaff", [(2, None)]),
        ("ffaa", [(0, 2)]),
        ("a.f..f.a", [(2, 7)]),
        ("abfa", [(1, 3)]),
        ("ab.fa", [(3, 4)]),
        ("abba", []),
        ("a1a", []),
        ("a111a", [(1, 4)]),
        ("affaffa", [(1, 3), (4, 6)]),
        ("arrra", []),
        ("arffra", [(2, 5)]),
        ("", []),
    ],
)
def test_outages(course: str, expected: Sequence[tuple[int, int | None]]) -> None:
    found = outages_of(answers(course), MINUTE)
    minutes = [
        ((one.begin - NIGHT) // MINUTE, None if one.end is None else (one.end - NIGHT) // MINUTE)
        for one in found
    ]
    assert minutes == expected


def test_each_destination_has_its_own() -> None:
    found = outages_of([*answers("affa", "eu"), *answers("aaff", "us")], MINUTE)
    assert [(one.destination, one.end is None) for one in found] == [("eu", False), ("us", True)]


def test_the_most_frequent_answer_comes_first() -> None:
    silent = AnswerCount(NIGHT + MINUTE, "tiktok", "unknown", None, None, 1, 1)
    (found,) = outages_of([*answers("afa"), silent], MINUTE)
    assert found.kinds == (("unknown", 502, None), ("unknown", None, None))
    assert found.requests == 5


def request(second: float, result: str, destination: str = "tiktok") -> RequestRecord:
    return RequestRecord(destination, NIGHT + timedelta(seconds=second), 2.0, 1, result)


def test_to_the_second() -> None:
    (outage,) = outages_of(answers("bfa"), MINUTE)
    first = [
        request(59, "unknown"),
        request(20, "accepted"),
        request(40, "unknown"),
        request(5, "unknown"),
        request(30, "refused"),
        request(31, "unknown", "other"),
    ]
    last = [request(141, "accepted"), request(130, "unknown"), request(155, "accepted")]
    found = sharpened(outage, first, last)
    assert found.begin == NIGHT + timedelta(seconds=40)
    assert found.end == NIGHT + timedelta(seconds=143)


def test_without_requests_it_stays_as_it_was() -> None:
    (outage,) = outages_of(answers("affa"), MINUTE)
    assert sharpened(outage, [], []) == outage
