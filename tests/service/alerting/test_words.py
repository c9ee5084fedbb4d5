"""What people are told."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.service.alerting.alert import SERVICE, News, Severity
from conversion_relay.service.alerting.words import LONGEST_TEXT, one_line, words_of
from support.alerts import notification
from support.time import START


def test_an_open_alert_says_what_since_when_how_much_and_what_to_do() -> None:
    assert words_of(notification(after=timedelta(hours=2, minutes=5))).plain() == (
        "Alert (critical): lane held, eu\n"
        "TikTok refuses the access token (code 40105).\n"
        "Since: 2026-11-21 12:00:00 UTC (2 h 05 min)\n"
        "Waiting: 1,240 events, worth 1,240.50 EUR and 20.00 USD\n"
        "What to do: Give the destination a new access token."
    )


def test_a_resolved_one_says_how_long_it_lasted_and_asks_for_nothing() -> None:
    assert words_of(notification(News.RESOLVED, timedelta(minutes=12))).plain() == (
        "Resolved: lane held, eu\n"
        "TikTok refuses the access token (code 40105).\n"
        "Lasted: 12 min, from 2026-11-21 12:00:00 UTC to 2026-11-21 12:12:00 UTC\n"
        "Waiting: 1,240 events, worth 1,240.50 EUR and 20.00 USD"
    )


def test_it_counts_from_when_it_began_where_that_is_known() -> None:
    since = START - timedelta(minutes=3)
    words = words_of(notification(News.STILL_OPEN, timedelta(minutes=1), since=since))
    assert words.title == "Still open (critical): lane held, eu"
    assert words.lines[0] == ("Since", "2026-11-21 11:57:00 UTC (4 min)")


def test_the_service_is_called_so() -> None:
    words = words_of(notification(subject=SERVICE, rule="disk_full", severity=Severity.WARNING))
    assert words.title == "Alert (warning): disk full, the service"


@given(st.text(max_size=3000))
def test_a_line_is_one_line_of_bounded_length(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    assert len(line) <= LONGEST_TEXT
