"""What differs between two configurations, in lines."""

from __future__ import annotations

import orjson
import pytest

from conversion_relay.core.values import Json, JsonObject
from conversion_relay.service.reload.versions import difference


def _preset(name: str, subscribe: str = 'type = "page"', **mapping: Json) -> JsonObject:
    return {"name": name, "subscribe": subscribe, "partnerAction": "x", "mapping": mapping}


def _content(settings: JsonObject, *presets: JsonObject) -> str:
    kept: JsonObject = {"eu": {"origin": "own.json", "presets": [*presets]}}
    return orjson.dumps({"settings": settings, "mappings": kept}).decode()


PAGE = _preset("Page", value={"@path": "$.a"})
CASES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "nothing": (_content({"a": 1}, PAGE), _content({"a": 1}, PAGE), ()),
    "a setting": (
        _content({"service": {"port": 1}}, PAGE),
        _content({"service": {"port": 2}}, PAGE),
        ("- service.port = 1", "+ service.port = 2"),
    ),
    "a new setting": (
        _content({}, PAGE),
        _content({"sources": {"a b": {"x": ["y"]}}}, PAGE),
        ('+ sources."a b".x = ["y"]',),
    ),
    "part of a mapping": (
        _content({}, PAGE),
        _content({}, _preset("Page", value={"@path": "$.b"})),
        ('- mappings.eu.Page.mapping.value."@path" = "$.a"',
         '+ mappings.eu.Page.mapping.value."@path" = "$.b"'),
    ),
    "a new mapping is a line of its own, with the order": (
        _content({}, PAGE),
        _content({}, PAGE, _preset("New one")),
        ('- mappings.eu = ["Page"]', '+ mappings.eu = ["Page", "New one"]',
         '+ mappings.eu."New one" = "type = \\"page\\""'),
    ),
    "another order": (
        _content({}, PAGE, _preset("B")),
        _content({}, _preset("B"), PAGE),
        ('- mappings.eu = ["Page", "B"]', '+ mappings.eu = ["B", "Page"]'),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_lines_of_a_difference(name: str) -> None:
    before, after, lines = CASES[name]
    assert difference(before, after) == lines


def test_a_long_value_and_a_long_difference_are_cut() -> None:
    before = _content({}, PAGE)
    long: JsonObject = {"a": "x" * 1_000}
    assert len(difference(before, _content(long, PAGE))[0]) < 250
    many: JsonObject = {f"key{number}": number for number in range(1_000)}
    lines = difference(before, _content(many, PAGE))
    assert (len(lines), lines[-1]) == (501, "… and 500 more lines")
