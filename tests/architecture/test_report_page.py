"""docs/report.md agrees with the report: options, columns, keys, the example."""

from __future__ import annotations

import re
from datetime import timedelta
from zoneinfo import ZoneInfo

import orjson
from typer.main import get_command

from architecture.pages import blocks, column, page, section, table
from conversion_relay import cli
from conversion_relay.service.report.as_csv import COLUMNS
from conversion_relay.service.report.as_json import FORM, json_of
from conversion_relay.service.report.as_markdown import markdown_of
from conversion_relay.service.report.gathering import gather
from conversion_relay.service.report.report import Asked, Fate, Report
from support.past import MORNING, NIGHT, ON_TIME, outage

PAGE = page("docs/report.md")


async def report() -> Report:
    zone = ZoneInfo("Europe/Berlin")
    asked = Asked(NIGHT, MORNING, MORNING, ON_TIME, timedelta(minutes=5), zone, "Europe/Berlin")
    return await gather(outage(), asked, lambda *_: None, lambda one: one.event_name, NIGHT)


def test_the_options() -> None:
    command = vars(get_command(cli.application))["commands"]["report"]
    known = {option for one in command.params for option in one.opts} - {"--config", "--help"}
    assert set(column(table(PAGE, "## Options"))) == known


def test_the_fates() -> None:
    assert column(table(PAGE, "## What it says")) == [fate.value for fate in Fate]


def test_the_columns() -> None:
    assert column(table(PAGE, "## CSV")) == [*COLUMNS]


async def test_the_keys() -> None:
    told = orjson.loads(json_of(await report()))
    assert column(table(PAGE, "## JSON")) == list(told)
    assert dict(table(PAGE, "## JSON"))["`form`"] == f"`{FORM}`"
    for key in ("late", "course", "outages", "answers", "alerts", "without_delivery"):
        named = re.findall(r'"(\w+)"', dict(table(PAGE, "## JSON"))[f"`{key}`"])
        assert named == list(told[key][0]), key


async def test_the_example() -> None:
    (example,) = blocks(section(PAGE, "## An example"), "markdown")
    assert example.strip() in markdown_of(await report())
