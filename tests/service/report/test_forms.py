"""The forms of a report: the same figures in each, and nothing in them that is run or loaded."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from io import StringIO
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import orjson
import pytest
from typing_extensions import override

from conversion_relay.core.delivery import State
from conversion_relay.service.report import wording as words
from conversion_relay.service.report.as_csv import COLUMNS, csv_of
from conversion_relay.service.report.as_html import html_of
from conversion_relay.service.report.as_json import FORM, json_of
from conversion_relay.service.report.as_markdown import markdown_of
from conversion_relay.service.report.chart import chart, course, ticks
from conversion_relay.service.report.gathering import gather
from conversion_relay.service.report.report import Asked, Report
from conversion_relay.service.store.history import Moment
from support.past import MORNING, NIGHT, ON_TIME, Past, outage, outcome

NASTY = "=cmd|' /C calc'!A0 <script>alert(1)</script> | `*"
BERLIN = ZoneInfo("Europe/Berlin")
STEP = timedelta(minutes=5)


async def report(past: Past | None = None) -> Report:
    asked = Asked(NIGHT, MORNING, MORNING, ON_TIME, STEP, BERLIN, "Europe/Berlin")
    return await gather(
        past or outage(),
        asked,
        lambda *_: None,
        lambda one: one.event_name,
        NIGHT - timedelta(days=7),
    )


class Page(HTMLParser):
    """What a browser would find."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        known = {"src", "href", "data", "action", "style", "srcset"}
        self.links += [name for name, _ in attrs if name in known or name.startswith("on")]

    @override
    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def read(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.close()
    return page


async def test_the_page_tells_the_story() -> None:
    shown = " ".join(" ".join(read(html_of(await report())).texts).split())
    assert "2026-01-13 19:00 to 2026-01-14 11:00 (Europe/Berlin, UTC+01:00)" in shown
    assert "4,006 conversions were received." in shown
    assert "from 2026-01-13 20:00:12 to 2026-01-14 10:00:08 (13 h 59 min)" in shown
    assert "Not accepted so far: 3 still waiting, 1 uncertain, 2 dead, 1 suppressed." in shown
    assert "3,450 86.1 % 38,250.00 EUR" in shown
    assert "3,197 waiting" in shown
    assert "lane open (critical)" in shown


async def test_the_page_runs_and_loads_nothing() -> None:
    html = html_of(await report(Past([outcome(NASTY, 1, source=NASTY, mapping=NASTY)])))
    page = read(html)
    assert "script" not in page.tags
    assert page.links == []
    assert not re.search(r"url\((?!#)|@import|http(?!://www\.w3\.org/2000/svg)s?://", html)
    assert page.texts.count(NASTY) == 3
    assert "default-src &#x27;none&#x27;" in html


async def test_the_chart_is_well_formed_and_says_what_it_shows() -> None:
    picture = ET.fromstring(chart(await report()))  # noqa: S314 - of our own making
    space = "{http://www.w3.org/2000/svg}"
    assert picture.get("role") == "img"
    labels = str(picture.get("aria-labelledby")).split()
    told = {
        one.get("id"): one.text for one in picture if one.tag in {f"{space}title", f"{space}desc"}
    }
    assert set(told) == set(labels)
    assert "The backlog was largest at 2026-01-14 10:00 with 3,197." in str(told["chart-desc"])
    assert "outage" in {one.get("class") for one in picture.iter(f"{space}rect")}


async def test_without_anything_to_show_there_is_no_chart() -> None:
    empty = await report(Past())
    assert chart(empty) == ""
    assert "No conversion was received in this period." in html_of(empty)
    assert "No conversion was received in this period." in markdown_of(empty)
    assert len(csv_of(empty).splitlines()) == 1


def moment(minutes: int, received: int, delivered: int) -> Moment:
    return Moment(NIGHT + timedelta(minutes=minutes), received, delivered)


async def test_without_a_conversion_every_heading_has_something_below_it() -> None:
    text = markdown_of(await report(Past()))
    assert "No conversion was received in this period." in text
    assert "By mapping" not in text
    assert not re.search(r"\n(##[^\n]*)\n+##", text)


async def test_what_is_late_without_a_value_is_told_in_a_whole_sentence() -> None:
    text = markdown_of(await report(Past([outcome("Search", 5, timedelta(hours=1))])))
    assert "5 conversions were delivered late, the last of them 59 min after" in text


@pytest.mark.parametrize(
    ("received", "scale"),
    [
        (2, ["0", "1", "2"]),
        (5, ["0", "1", "2", "3", "4", "5"]),
        (6, ["0", "2", "4", "6"]),
        (113_000, ["0", "50,000", "100,000", "150,000"]),
    ],
)
async def test_the_scale_ends_just_above_what_it_shows(received: int, scale: list[str]) -> None:
    picture = chart(await report(Past([], [Moment(NIGHT, received, received)])))
    labels = re.findall(r'text-anchor="end">\n([\d,]+)</text>', picture)
    assert labels == scale


async def test_outages_at_the_same_time_are_named_once() -> None:
    past = outage()
    other = [replace(one, destination="us") for one in past.kept_answers]
    shown = await report(replace(past, kept_answers=[*past.kept_answers, *other]))
    assert len(shown.outages) == 2
    picture = chart(shown)
    assert picture.count('class="outage"') == 2
    assert picture.count("outage, 1") == 1


def test_the_course_adds_up_and_never_delivers_what_was_not_received() -> None:
    moments = [moment(0, 3, 3), moment(10, 2, 0), moment(15, 0, 6)]
    found = course(moments, NIGHT, NIGHT + timedelta(minutes=30), STEP)
    told = [
        ((one.at - NIGHT) // timedelta(minutes=1), one.received, one.delivered) for one in found
    ]
    assert told == [
        (0, 4, 0), (5, 7, 3), (10, 7, 3), (15, 9, 3), (20, 9, 9), (30, 9, 9),
    ]  # fmt: skip
    assert min(one.backlog for one in found) == 0


@pytest.mark.parametrize(
    ("hours", "first", "count"), [(16, "20:00", 8), (1, "19:10", 6), (72, "00:00", 6)]
)
def test_ticks_are_round_where_they_are_read(hours: int, first: str, count: int) -> None:
    since = NIGHT + timedelta(minutes=7)
    found = ticks(since, since + timedelta(hours=hours), timedelta(hours=1))
    assert f"{found[0].astimezone(BERLIN):%H:%M}" == first
    assert len(found) == count
    assert all(since <= one <= since + timedelta(hours=hours) for one in found)


async def test_markdown_has_the_same_figures_and_no_markup_from_names() -> None:
    text = markdown_of(await report())
    assert "| delivered late | 3,450 | 86.1 % | 38,250.00 EUR |" in text
    nasty = markdown_of(await report(Past([outcome(NASTY, 1)])))
    row = next(line for line in nasty.splitlines() if "cmd" in line)
    assert "<script>" not in row
    assert len(re.findall(r"(?<!\\)\|", row)) == 9


async def test_csv_has_a_line_for_each_kind_and_the_same_sum() -> None:
    past = outage()
    rows = list(csv.DictReader(StringIO(csv_of(await report(past)), newline="")))
    assert tuple(rows[0]) == COLUMNS
    assert sum(int(row["count"]) for row in rows) == 4_006
    assert {row["fate"] for row in rows} == {
        "on_time", "late", "waiting", "uncertain", "dead", "suppressed",
    }  # fmt: skip
    yen = next(row for row in rows if row["currency"] == "JPY")
    assert (yen["value"], yen["late_up_to_seconds"], yen["longest_seconds"]) == ("1400", "", "")
    assert csv_of(await report(past)).count("\r\n") == len(rows) + 1


@pytest.mark.parametrize("first", "=+-@\t\r\n")
async def test_no_cell_of_the_csv_is_a_formula(first: str) -> None:
    name = f"{first}1+1"
    text = csv_of(await report(Past([outcome(name, 1, mapping=name, source=name)])))
    (row,) = csv.DictReader(StringIO(text, newline=""))
    assert [row[column] for column in ("source", "mapping", "event")] == [f"'{name}"] * 3


async def test_json_keeps_its_form() -> None:
    told = orjson.loads(json_of(await report()))
    assert told["form"] == FORM
    assert set(told) == {
        "form", "version", "made_at", "since", "until", "on_time_seconds", "step_seconds",
        "warnings", "summary", "totals", "by_event", "by_destination", "by_source", "by_mapping",
        "late", "course", "outages", "answers", "alerts", "without_delivery",
    }  # fmt: skip
    assert told["since"] == "2026-01-13T18:00:00Z"
    assert told["totals"]["late"] == {"count": 3450, "value": {"EUR": "38250"}}
    (outage_told,) = told["outages"]
    assert outage_told["begin"] == "2026-01-13T19:00:12Z"
    assert outage_told["failed_requests"] == 3360


async def test_figures_that_may_be_incomplete_are_said_to_be() -> None:
    asked = Asked(NIGHT, MORNING, MORNING, ON_TIME, STEP)
    kept = NIGHT + timedelta(hours=1)
    found = await gather(outage(), asked, lambda *_: None, lambda one: one.event_name, kept)
    for text in (html_of(found), markdown_of(found), json_of(found).decode()):
        assert "Incomplete" in text
        assert "2026-01-13 19:00" in text
    assert "Incomplete" not in html_of(await report())


async def test_a_disk_that_cannot_be_written_and_unknown_values_are_said() -> None:
    old = replace(outcome("PlaceAnOrder", 7), unvalued=5)
    found = replace(await report(Past([old, outcome("PlaceAnOrder", 2)])), trouble="disk full")
    for text in (html_of(found), markdown_of(found), json_of(found).decode()):
        assert "nothing can be written to the database at present" in text
        assert "The value of 5 of the conversions is not known" in text
    assert "not known" not in html_of(await report())


async def test_all_accepted_is_said_only_when_it_is_so() -> None:
    sentence = "Every conversion that was received has been accepted."
    assert sentence in markdown_of(await report(Past([outcome("a", 1), outcome("b", 2, None)])))
    waits = Past([outcome("a", 1), outcome("b", 2, state=State.HELD)])
    assert sentence not in markdown_of(await report(waits))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (300, "5 min"),
        (3_600, "1 h"),
        (3_661, "1 h 01 min"),
        (36_000, "10 h"),
        (86_400, "1 d"),
        (90_061, "1 d 1 h"),
        (864_000, "10 d"),
    ],
)
def test_lengths_of_time(seconds: float, text: str) -> None:
    assert words.lasting(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 0, words.NOTHING),
        (0, 7, "0 %"),
        (7, 7, "100 %"),
        (1, 100_000, "0.1 %"),
        (99_999, 100_000, "99.9 %"),
        (1, 3, "33.3 %"),
    ],
)
def test_shares(part: int, whole: int, text: str) -> None:
    assert words.share(part, whole) == text


def test_the_offset_of_a_zone_at_a_time() -> None:
    assert words.offset(datetime(2026, 7, 1, tzinfo=UTC), BERLIN) == "UTC+02:00"
    assert words.offset(datetime(2026, 1, 1, tzinfo=UTC), UTC) == "UTC"
