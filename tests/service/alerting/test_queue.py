"""What waits for a channel: order, what gives way to what, when it is tried again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.service.alerting.alert import News, Notification
from conversion_relay.service.alerting.channel import Message
from conversion_relay.service.alerting.queue import (
    HORIZON,
    LONGEST_ASKED_PAUSE,
    Queue,
    Waiting,
    pause_after,
)
from support.alerts import notification
from support.time import START

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def _queue(*notifications: Notification) -> Queue:
    queue = Queue()
    for one in notifications:
        queue.add(Message.of(one), START)
    return queue


def _news(queue: Queue) -> list[tuple[str, str]]:
    return [(one.about[1], one.message.notification.news.value) for one in queue]


def _next(queue: Queue) -> Waiting:
    found = queue.next(START + HOUR)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ([News.OPENED], ["opened"]),
        ([News.OPENED, News.STILL_OPEN], ["opened"]),
        ([News.OPENED, News.STILL_OPEN, News.STILL_OPEN], ["opened"]),
        ([News.STILL_OPEN, News.STILL_OPEN], ["still_open"]),
        ([News.OPENED, News.RESOLVED], ["resolved"]),
        ([News.STILL_OPEN, News.RESOLVED], ["resolved"]),
    ],
)
def test_newer_news_of_an_alert_take_the_place_of_older(said: list[News], left: list[str]) -> None:
    queue = _queue(*(notification(one, MINUTE * number) for number, one in enumerate(said)))
    assert [news for _, news in _news(queue)] == left
    assert _next(queue).message.notification.at == START + MINUTE * (len(said) - 1)


def test_an_alert_that_comes_back_is_told_after_the_end_of_the_first() -> None:
    queue = _queue(
        notification(),
        notification(News.RESOLVED, MINUTE),
        notification(opened_at=START + HOUR),
        notification(subject="us"),
    )
    assert _news(queue) == [("eu", "resolved"), ("eu", "opened"), ("us", "opened")]
    first = _next(queue)
    queue.failed(first, START, MINUTE)
    # The second of the same alert does not overtake; that of another does.
    following = queue.next(START)
    assert following is not None
    assert following.about == ("lane_held", "us")
    assert queue.next_due(START) == START
    queue.sent(following, START)
    assert queue.next(START) is None
    assert queue.next_due(START) == START + MINUTE


def test_a_resolved_alert_goes_on_waiting_where_its_opening_failed() -> None:
    queue = _queue(notification())
    queue.failed(_next(queue), START, MINUTE)
    resolved = notification(News.RESOLVED, SECOND)
    queue.add(Message.of(resolved), START + SECOND)
    assert queue.next(START + SECOND) is None
    assert _next(queue).tries == 1


def test_what_failed_while_newer_news_came_is_not_said_any_more() -> None:
    queue = _queue(notification())
    on_its_way = _next(queue)
    queue.add(Message.of(notification(News.RESOLVED, SECOND)), START + SECOND)
    assert queue.failed(on_its_way, START + SECOND, MINUTE) is None
    assert _news(queue) == [("eu", "resolved")]


def test_once_one_got_through_the_others_are_tried_at_once() -> None:
    queue = _queue(notification(), notification(subject="us"))
    for _ in range(2):
        queue.failed(_next(queue), START, MINUTE)
    again = _next(queue)
    queue.sent(again, START + SECOND)
    assert queue.next_due(START + SECOND) == START + SECOND


def test_it_is_given_up_after_a_day() -> None:
    queue = _queue(notification())
    first = _next(queue)
    assert queue.failed(first, START + HORIZON - MINUTE, MINUTE) is None
    second = next(iter(queue))
    assert queue.failed(second, START + HORIZON, MINUTE) is not None
    assert not list(queue)


def test_a_full_queue_gives_its_oldest_up() -> None:
    queue = Queue(most=2)
    added = [queue.add(Message.of(notification(subject=name)), START) for name in ("a", "b", "c")]
    assert added[:2] == [None, None]
    assert added[2] is not None
    assert added[2].about[1] == "a"
    assert [name for name, _ in _news(queue)] == ["b", "c"]


def test_a_clock_that_was_set_back_stops_nothing() -> None:
    queue = _queue(notification())
    queue.failed(_next(queue), START, MINUTE)
    assert queue.next(START - LONGEST_ASKED_PAUSE) is not None
    assert queue.next(START - LONGEST_ASKED_PAUSE + 2 * MINUTE) is None


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_pause_has_its_bounds(tries: int, jitter: float) -> None:
    pause = pause_after(tries, jitter)
    assert 2.5 * SECOND <= pause <= 10 * MINUTE
    assert pause <= 5 * SECOND * 2 ** min(tries, 20)
