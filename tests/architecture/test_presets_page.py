"""docs/presets.md cannot lie: its examples are run, its tables compared with the code."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

import orjson
import pytest

from architecture.pages import ROOT, blocks, column, page, plain, section, table, tables
from conversion_relay.core import fql
from conversion_relay.core.coercion import Checker
from conversion_relay.core.destination import Built, Field
from conversion_relay.core.event import SegmentEvent
from conversion_relay.core.fql.fields import FIELDS as TRIGGER_FIELDS
from conversion_relay.core.fql.matcher import FUNCTIONS, OPERATORS
from conversion_relay.core.fql.parser import MAX_CHARACTERS, MAX_DEPTH
from conversion_relay.core.mapping import compile_mapping
from conversion_relay.core.mapping.directives import DIRECTIVES
from conversion_relay.core.preset import MAX_MAPPINGS, compile_presets
from conversion_relay.core.values import Json, JsonObject
from conversion_relay.destinations.tiktok.fields import FIELDS, TRAVEL, VEHICLE
from conversion_relay.destinations.tiktok.protocol import TikTokDestination
from conversion_relay.destinations.tiktok.web_event import ReportWebEvent, TikTokSettings
from conversion_relay.errors import TriggerError
from conversion_relay.service.preset_files import read_mappings, read_preset_set

PAGE = page("docs/presets.md")
SETS = sorted(path.stem for path in (ROOT / "presets").glob("*.json"))
NOW = datetime(2026, 11, 21, tzinfo=UTC)


class Example(TypedDict):
    """What a fenced block of the page shows."""

    event: JsonObject
    mapping: JsonObject
    result: JsonObject


def test_every_preset_set_is_on_the_page() -> None:
    headings = re.findall(r"\n### (.+)", section(PAGE, "## The preset sets"))
    assert sorted(headings) == SETS


@pytest.mark.parametrize("name", SETS)
def test_the_tables_are_the_files(name: str) -> None:
    definitions = read_preset_set(name, ROOT / "presets")
    expected = [[one.name, f"`{one.subscribe}`", one.mapping["event"]] for one in definitions]
    assert table(PAGE, f"### {name}") == expected


def test_the_preset_file_of_the_page_can_be_used(tmp_path: Path) -> None:
    (text,) = blocks(section(PAGE, "## A preset file of your own"), "json")
    file = tmp_path / "own.json"
    file.write_text(text, "utf-8")
    destination = TikTokDestination(TikTokSettings("PIXEL"))
    (preset,) = compile_presets(read_mappings(file), destination.actions, "own")
    assert preset.name == "Registration"
    assert f"at most {MAX_MAPPINGS} mappings" in PAGE


EXAMPLES = tables(section(PAGE, "## Triggers"))[1]


@pytest.mark.parametrize(("trigger", "event", "answer"), EXAMPLES)
def test_the_triggers_of_the_page_answer_so(trigger: str, event: str, answer: str) -> None:
    met = fql.matches(fql.parse(plain(trigger)), json.loads(plain(event)))
    assert met is {"yes": True, "no": False}[answer]


@pytest.mark.parametrize(("trigger", "message"), table(PAGE, "### What is refused"))
def test_the_triggers_that_the_page_calls_refused_are(trigger: str, message: str) -> None:
    with pytest.raises(TriggerError) as caught:
        fql.parse(plain(trigger))
    assert message in str(caught.value)


def test_every_part_of_the_trigger_language_is_on_the_page() -> None:
    written = section(PAGE, "## Triggers")
    operators = {name for name, _ in OPERATORS}
    for part in (*operators, *FUNCTIONS):
        assert f"`{part}" in written
    assert all(f"`{name}" in written for name in TRIGGER_FIELDS)
    assert f"{MAX_CHARACTERS:,} characters" in written
    assert f"{MAX_DEPTH} open parentheses" in written


def _mappings() -> dict[str, list[Example]]:
    """The examples of each directive, and of mappings as such."""
    parts = re.split(r"\n### `(@\w+)`\n", section(PAGE, "## Mappings"))
    names = ["", *parts[1::2]]
    return {
        name: [json.loads(block) for block in blocks(text, "json")]
        for name, text in zip(names, [parts[0], *parts[2::2]], strict=True)
    }


MAPPINGS = _mappings()


def test_every_directive_has_its_example() -> None:
    assert [name for name in MAPPINGS if name] == list(DIRECTIVES)
    for name, examples in MAPPINGS.items():
        assert len(examples) == 1, name
        assert f'"{name}' in json.dumps(examples[0]["mapping"]), name


@pytest.mark.parametrize("name", MAPPINGS)
def test_the_mappings_of_the_page_give_what_it_says(name: str) -> None:
    for example in MAPPINGS[name]:
        assert compile_mapping(example["mapping"]).resolve(example["event"]) == example["result"]


ROWS = [
    *table(PAGE, "## The fields of Report Web Event"),
    *table(PAGE, "### Vehicle and travel fields"),
]


def _flat(fields: tuple[Field, ...], inside: str = "") -> dict[str, Field]:
    found: dict[str, Field] = {}
    for field in fields:
        if field.properties:
            found |= _flat(field.properties, f"{field.key}.")
        else:
            found[inside + field.key] = field
    return found


FLAT = _flat(FIELDS)


def test_every_field_is_on_the_page() -> None:
    assert sorted(column(ROWS)) == sorted(FLAT)


@pytest.mark.parametrize("row", ROWS, ids=column(ROWS))
def test_a_row_says_what_the_field_takes(row: list[str]) -> None:
    key, kind, _, _, about = row
    field = FLAT[plain(key)]
    name = field.type.value
    assert kind == (f"list of {name}s" if field.multiple else name)
    assert ("**Required.**" in about) is field.required
    for choice in field.choices:
        assert f"`{choice}`" in about


SAMPLES: dict[str, Json] = {
    "event": "Purchase", "timestamp": "2026-11-20T10:00:00Z", "phone_number": "+49301234567",
    "address.country": "DE", "ip": "203.0.113.7", "currency": "EUR",
    "url": "https://shop.example.com/", "event_source": "crm", "limited_data_use": True,
}  # fmt: skip


@pytest.mark.parametrize("row", [row for row in ROWS if row[3] != "-"], ids=str)
def test_a_row_says_what_becomes_of_the_field(row: list[str]) -> None:
    key, _, hashed, wire, _ = row
    body = _body_with(plain(key))
    path = wire.partition(" ")[0].strip("`")
    (value,) = _at(body, path.split("."))
    assert bool(re.fullmatch("[0-9a-f]{64}", str(value))) is (hashed == "SHA-256")


def _at(value: Json, path: list[str]) -> list[Json]:
    """The values at a path, through lists."""
    if isinstance(value, list):
        return [found for item in value for found in _at(item, path)][:1]
    if not path:
        return [value]
    assert isinstance(value, dict)
    return _at(value[path[0]], path[1:])


def _sample(key: str) -> Json:
    field = FLAT[key]
    if key in SAMPLES:
        return SAMPLES[key]
    return field.choices[0] if field.choices else 7 if field.type.value != "string" else "Sample"


def _body_with(key: str) -> JsonObject:
    """The top level of the request and the element of the event, as one object."""
    payload: JsonObject = {"event": "Purchase"}
    family, _, inner = key.rpartition(".")
    if family:
        siblings = _siblings(key, family)
        payload[family] = {one: _sample(f"{family}.{one}") for one in siblings}
    else:
        payload[inner] = _sample(key)
    if family in {VEHICLE, TRAVEL}:
        payload["event_spec_type"] = family
    if family == "lead_fields":
        payload["event_source"] = "crm"
    if payload.get("event_source") == "crm":
        payload.setdefault("lead_fields", {"lead_id": "1"})
    checked = Checker(FIELDS).check(payload)
    assert not checked.rejections
    assert not checked.warnings
    event = SegmentEvent({}, "track", None)
    built = ReportWebEvent(TikTokSettings("PIXEL")).build(checked.payload, event, NOW)
    assert isinstance(built, Built)
    whole: JsonObject = orjson.loads(built.envelope) | orjson.loads(built.body)
    return whole


def _siblings(key: str, family: str) -> list[str]:
    """The field, and what has to be there for it to be sent."""
    name = key.rpartition(".")[2]
    for needed in (
        ("mileage_value", "mileage_unit"),
        ("preferred_price_range_min", "preferred_price_range_max"),
    ):
        if name in needed:
            return list(needed)
    return ["lead_id", name] if family == "lead_fields" else [name]
