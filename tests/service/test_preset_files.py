"""Preset files: where they are looked for, and what is said when they cannot be used."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from conversion_relay.core.values import Json, JsonObject
from conversion_relay.errors import PresetError
from conversion_relay.service.preset_files import (
    preset_names,
    presets_folder,
    read_mappings,
    read_preset_set,
)

ROW: JsonObject = {
    "name": "Order",
    "subscribe": 'event = "Order Completed"',
    "partnerAction": "reportWebEvent",
    "mapping": {"event": "Purchase"},
}


def written(folder: Path, content: Json | bytes, name: str = "own.json") -> Path:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else orjson.dumps(content))
    return file


def test_without_a_configured_folder_those_that_came_along_are_taken() -> None:
    names = preset_names(presets_folder(None))
    assert names == ("tiktok-conversions", "tiktok-conversions-current", "tiktok-standard-events")


def test_a_configured_folder_is_the_only_one_looked_at(tmp_path: Path) -> None:
    written(tmp_path, [ROW])
    assert presets_folder(tmp_path) == tmp_path
    assert [one.name for one in read_preset_set("own", tmp_path)] == ["Order"]
    with pytest.raises(PresetError, match=r"no preset file .*tiktok-conversions.*there are: own"):
        read_preset_set("tiktok-conversions", tmp_path)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(PresetError, match="does not exist"):
        presets_folder(tmp_path / "nowhere")


def test_an_empty_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(PresetError, match="there are: none"):
        read_preset_set("own", tmp_path)


@pytest.mark.parametrize("name", ["../own", "own.json", "", "sub/own", "/etc/passwd"])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "presets"
    (inside / "sub").mkdir(parents=True)
    written(tmp_path, [ROW])
    written(inside / "sub", [ROW])
    with pytest.raises(PresetError, match="no preset file"):
        read_preset_set(name, inside)


def test_a_list_alone_and_an_object_around_it_are_the_same(tmp_path: Path) -> None:
    alone = read_mappings(written(tmp_path, [ROW]))
    inside: JsonObject = {"title": "Ours", "destination": "tiktok", "presets": [ROW]}
    assert read_mappings(written(tmp_path, inside)) == alone


def test_mappings_that_are_switched_off_are_skipped(tmp_path: Path) -> None:
    rows: Json = [ROW | {"enabled": False, "name": "Off"}, ROW | {"enabled": True}]
    assert [one.name for one in read_mappings(written(tmp_path, rows))] == ["Order"]


@pytest.mark.parametrize(
    "content", [[ROW | {"enabled": False}], {"presets": [{"enabled": False}]}]
)
def test_a_file_that_would_send_nothing_is_an_error(tmp_path: Path, content: Json) -> None:
    with pytest.raises(PresetError, match="every mapping is switched off"):
        read_mappings(written(tmp_path, content))


@pytest.mark.parametrize("enabled", ["false", 0, None])
def test_only_true_and_false_switch(tmp_path: Path, enabled: Json) -> None:
    with pytest.raises(PresetError, match=r'/0: "enabled" must be true or false, it is'):
        read_mappings(written(tmp_path, [ROW | {"enabled": enabled}]))


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("subscibe", "subscribe"),
        ("maping", "mapping"),
        ("mappings", "mapping"),
        ("partner_action", "partnerAction"),
        ("enable", "enabled"),
        ("names", "name"),
    ],
)
def test_a_misspelt_key_is_said(tmp_path: Path, key: str, meant: str) -> None:
    with pytest.raises(PresetError) as caught:
        read_mappings(written(tmp_path, [ROW | {key: "x"}]))
    assert f'/0: "{key}" has no meaning; did you mean "{meant}"?' in str(caught.value)


def test_the_action_may_be_left_out(tmp_path: Path) -> None:
    row = {key: value for key, value in ROW.items() if key != "partnerAction"}
    (definition,) = read_mappings(written(tmp_path, [row]))
    assert definition.partner_action == "reportWebEvent"


def test_further_keys_of_segment_s_form_are_ignored(tmp_path: Path) -> None:
    further: JsonObject = {
        "id": "x",
        "actionId": "y",
        "actionSlug": "reportWebEvent",
        "destinationId": "z",
        "eventName": "Order Completed",
        "enabled": True,
        "settings": {},
        "type": "automatic",
        "batching": {},
        "createdAt": "2026-01-10",
        "fieldMappings": [],
        "title": "Order",
        "trigger": "x",
    }
    (definition,) = read_mappings(written(tmp_path, [ROW | further]))
    assert definition.mapping == {"event": "Purchase"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff", "it is not UTF-8"),
        (b"{", "is no JSON"),
        (b"[]", "must hold a list of mappings"),
        (b"{}", "must hold a list of mappings"),
        (b'"x"', "must hold a list of mappings"),
        (b'{"presets": {}}', "must hold a list of mappings"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" + b"9" * 5000 + b"]", "too many digits"),
        (b"[5]", "/0: a mapping must be an object, this is a number"),
    ],
)
def test_what_is_no_preset_file_is_said(tmp_path: Path, content: bytes, words: str) -> None:
    file = written(tmp_path, content)
    with pytest.raises(PresetError) as caught:
        read_mappings(file)
    assert words in str(caught.value)
    assert str(file) in str(caught.value)


def test_every_problem_of_a_file_is_said_at_once(tmp_path: Path) -> None:
    rows: Json = [{"subscribe": 1, "mapping": []}, ROW, ROW | {"name": "", "partnerAction": None}]
    with pytest.raises(PresetError) as caught:
        read_mappings(written(tmp_path, rows))
    lines = str(caught.value).splitlines()
    assert [line.rpartition(".json: ")[2] for line in lines] == [
        '/0: "name" must be a text, it is missing',
        '/0: "subscribe" must be a text, it is a number',
        '/0: "mapping" must be an object, it is a list',
        '/2: "name" must be a text, it is an empty string',
        '/2: "partnerAction" must be a text, it is null',
    ]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(PresetError, match="cannot be read: Is a directory"):
        read_mappings(tmp_path)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(PresetError, match="cannot be read: No such file"):
        read_mappings(tmp_path / "nowhere.json")
