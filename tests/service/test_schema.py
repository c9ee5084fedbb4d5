"""The schema says of a TOML file what the settings say, apart from what no schema can say."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from architecture.pages import blocks, page, section
from conversion_relay.core.values import Json, JsonObject
from conversion_relay.service.configuration import inspect
from conversion_relay.service.schema import schema_text
from conversion_relay.service.settings import Configuration
from conversion_relay.service.settings.source import NO_CREDENTIAL, UNCHECKED_CREDENTIALS

(TEXT,) = blocks(section(page("docs/configuration.md"), "## The TOML file"), "toml")
EXAMPLE: JsonObject = tomllib.loads(TEXT.replace("env:RELAY_", "env:"))
"""The service's own variables would decide over the file."""
VARIABLES: Final = {
    name: f"{'smtp' if name == 'SMTP_URL' else 'http'}://{name.lower()}"
    for name in re.findall(r'"env:(?:RELAY_)?(\w+)"', TEXT)
}
SCHEMA: JsonObject = json.loads(schema_text())
VALIDATOR = Draft202012Validator(SCHEMA)
BEYOND_A_SCHEMA: Final = (
    NO_CREDENTIAL,
    UNCHECKED_CREDENTIALS,
    "must not be less than retention",
    "there is no destination",
    "has the same write key",
    "needs allow_any_api_host",
    "must begin with https://",
    "a two-letter country code",
    "1m at least",
    "5s at least",
    "needs smtp_url",
    "needs email_from",
    "which is not set",
    "is needed with postgresql://",
    "needs postgresql://",
)
"""What settings must agree on, ranges of times, and what lies outside of the file."""
_LINE: Final = re.compile(r"^:\d+: ")


def is_valid(tree: JsonObject) -> bool:
    """Whether the schema takes it."""
    return bool(VALIDATOR.is_valid(tree))


def problems(tree: JsonObject, folder: Path) -> set[str]:
    """What the service says of it; the files of its secrets are not there."""
    file = folder / "relay.toml"
    file.write_text(written(tree))
    found = inspect(VARIABLES, file).problems
    lines = [one.sentence.removeprefix(str(file)) for one in found]
    return {_LINE.sub("", one) for one in lines if "cannot be read" not in one}


def written(tree: Mapping[str, Json]) -> str:
    """The tree as TOML."""
    return "\n".join(f"{json.dumps(key)} = {_value(value)}" for key, value in tree.items())


def _value(value: Json) -> str:
    if isinstance(value, dict):
        return (
            f"{{{', '.join(f'{json.dumps(key)} = {_value(one)}' for key, one in value.items())}}}"
        )
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value)


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)  # raises where it is none
    assert SCHEMA["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


def test_the_example_of_the_page_is_valid(tmp_path: Path) -> None:
    assert is_valid(EXAMPLE)
    assert problems(EXAMPLE, tmp_path) == set()


def test_every_setting_has_a_title_and_says_what_it_is_for() -> None:
    for place, described in _properties(SCHEMA):
        assert described.get("description"), place


def _properties(schema: Json) -> Iterator[tuple[str, JsonObject]]:
    if not isinstance(schema, dict):
        return
    for key, value in schema.items():
        if key == "properties" and isinstance(value, dict):
            yield from ((name, one) for name, one in value.items() if isinstance(one, dict))
        yield from _properties(value)


Place = tuple[str, ...]
TABLES: Final[tuple[Place, ...]] = (
    (),
    ("service",),
    ("sources", "web"),
    ("sources", "shop"),
    ("destinations", "eu"),
    ("destinations", "eu", "sharing"),
    ("destinations", "us"),
)
WRONG: Final[tuple[tuple[Place, Json], ...]] = (
    (("service", "port"), "8080"),
    (("service", "port"), 65536),
    (("service", "max_requests"), 0),
    (("service", "receive_seconds"), True),
    (("service", "retention"), "a week"),
    (("service", "retention"), " 7d"),
    (("service", "database_url"), "postgresql://x"),
    (("service", "cors_origins"), ["https://shop.example/path"]),
    (("service", "trusted_proxies"), ["shop.example"]),
    (("service", "admin_token"), "literal"),
    (("service", "admin_token"), "env:"),
    (("sources", "web", "signing_secrets"), "env:WEB_SECRET"),
    (("sources", "web", "signing_secrets"), ["literal"]),
    (("sources", "web", "rate_limit"), 0),
    (("sources", "web", "rate_limit"), True),
    (("sources", "web", "visitor_ip"), "guess"),
    (("sources", "web", "match_keys"), 1),
    (("sources", "web", "limit"), 1),
    (("sources", "a b"), {"write_keys": ["env:WEB_TOKEN"]}),
    (("sources",), {}),
    (("destinations", "eu", "pixel_code"), " "),
    (("destinations", "eu", "pixel_code"), "line\nbreak"),
    (("destinations", "eu", "max_requests_in_flight"), 65),
    (("destinations", "eu", "on_invalid_field"), "maybe"),
    (("destinations", "eu", "sharing", "truncate_ip"), "yes"),
    (("destinations", "eu", "sharing", "unknown"), "yes"),
    (("destinations", "eu", "consent_categories"), "Advertising"),
    (("destinations", "eu", "api_url"), "business-api.tiktok.com"),
    (("destinations", "us", "mappings"), ""),
    (("destinations", "new"), {"pixel_code": "P"}),
    (("extra",), {}),
)


@pytest.mark.parametrize(("place", "value"), WRONG, ids=lambda one: str(one)[:40])
def test_both_refuse(place: Place, value: Json, tmp_path: Path) -> None:
    tree = _with(place, value)
    assert not is_valid(tree)
    assert problems(tree, tmp_path)


VALUES: st.SearchStrategy[Json] = (
    st.sampled_from([
        "", " x", "x", "a b", "env:WEB_TOKEN", "file:x", "env:", "literal", "7d", "90", "DE", "U1",
        "none", "required", "event", "connection", "omit", "reject", "send", "always", "json",
        "https://a.example", "http://127.0.0.1:1", "*", "10.0.0.0/8", "sqlite:///x", "eu", "true",
    ])
    | st.integers(-2, 70)
    | st.sampled_from([1024, 70_000, 2**40, 0.5, 601.0, -0.5])
    | st.booleans()
)  # fmt: skip
KEYS = st.sampled_from(["unknown", "web", "eu", "a b", "é", "mappings", "rate_limit", "hash"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_on_the_shape_of_a_file_the_schema_and_the_service_agree(
    data: st.DataObject, tmp_path: Path
) -> None:
    tree = copy.deepcopy(EXAMPLE)
    table = _at(tree, data.draw(st.sampled_from(TABLES)))
    key = data.draw(st.sampled_from(sorted(table)) | KEYS)
    if data.draw(st.booleans()) and key in table:
        del table[key]
    else:
        plain = st.lists(VALUES, max_size=3) | st.dictionaries(KEYS, VALUES, max_size=2)
        table[key] = data.draw(VALUES | plain)
    found = problems(tree, tmp_path)
    if is_valid(tree):
        assert all(any(words in one for words in BEYOND_A_SCHEMA) for one in found), found
    else:
        assert found, list(VALIDATOR.iter_errors(tree))


def _with(place: Place, value: Json) -> JsonObject:
    tree = copy.deepcopy(EXAMPLE)
    _at(tree, place[:-1])[place[-1]] = value
    return tree


def _at(tree: JsonObject, place: Place) -> JsonObject:
    for key in place:
        inner = tree[key]
        assert isinstance(inner, dict)
        tree = inner
    return tree


def test_the_settings_are_the_schema_of_the_whole_file() -> None:
    properties = SCHEMA["properties"]
    assert isinstance(properties, dict)
    assert set(properties) == set(Configuration.model_fields)
