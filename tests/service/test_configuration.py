"""The configuration: from the environment alone, from TOML, and every way it can be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from conversion_relay.core.plan import OnInvalidField
from conversion_relay.errors import ConfigurationError
from conversion_relay.service.configuration import load, load_for_preview

ENOUGH = {
    "TIKTOK_ACCESS_TOKEN": "token-secret",
    "TIKTOK_PIXEL_CODE": "PIXEL1",
    "SEGMENT_SHARED_SECRET": "shared-secret",
}


def test_three_variables_are_enough() -> None:
    configuration = load(ENOUGH)
    assert set(configuration.sources) == {"default"}
    tiktok = configuration.destinations["tiktok"]
    assert tiktok.presets == "tiktok-conversions"
    assert tiktok.api_url == "https://business-api.tiktok.com"
    assert tiktok.on_invalid_field is OnInvalidField.OMIT
    assert configuration.service.port == 8080


def test_each_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    environment = ENOUGH | {"TIKTOK_ACCESS_TOKEN_FILE": str(tmp_path / "token")}
    with pytest.raises(ConfigurationError, match="both TIKTOK_ACCESS_TOKEN and"):
        load(environment)
    del environment["TIKTOK_ACCESS_TOKEN"]
    token = load(environment).destinations["tiktok"].access_token
    assert token.get_secret_value() == "from-file"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"SEGMENT_SHARED_SECRET": ""}, ["no credential", "RELAY_AUTHENTICATION=none"]),
        ({"TIKTOK_PIXEL_CODE": ""}, ["TIKTOK_PIXEL_CODE", "required"]),
        ({"TIKTOK_ACCESS_TOKEN": ""}, ["TIKTOK_ACCESS_TOKEN", "required"]),
        ({"TIKTOK_ACCESS_TOKEN": "tökén"}, ["TIKTOK_ACCESS_TOKEN", "printable ASCII"]),
        ({"RELAY_PORT": "99999"}, ["RELAY_PORT", "65535"]),
        ({"RELAY_ON_INVALID_FIELD": "maybe"}, ["RELAY_ON_INVALID_FIELD", "'omit' or 'reject'"]),
        ({"RELAY_DEFAULT_PHONE_REGION": "Germany"}, ["RELAY_DEFAULT_PHONE_REGION", "two-letter"]),
        ({"RELAY_DATABASE_URL": "mysql://x"}, ["RELAY_DATABASE_URL", "sqlite:///"]),
        ({"TIKTOK_API_URL": "https://tiktok.evil.example"}, ["TIKTOK_API_ALLOW_ANY_HOST"]),
        ({"TIKTOK_API_URL": "ftp://127.0.0.1"}, ["must be like"]),
        ({"RELAY_AUTHENTICATION": "none"}, ["has credentials, which would not be checked"]),
        (
            {"SEGMENT_SHARED_SECRET_FILE": "/nowhere", "SEGMENT_SHARED_SECRET": ""},
            ["cannot be read"],
        ),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, str], words: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(ENOUGH | changes)
    for word in words:
        assert word in str(caught.value)


def test_every_problem_is_said_at_once_and_no_value() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load({"TIKTOK_ACCESS_TOKEN": "bad\nsecret", "RELAY_PORT": "x"})
    message = str(caught.value)
    for name in ("TIKTOK_PIXEL_CODE", "TIKTOK_ACCESS_TOKEN", "RELAY_PORT", "no credential"):
        assert name in message
    assert "bad" not in message


def test_a_sandbox_on_this_machine_is_allowed() -> None:
    url = "http://127.0.0.1:9090"
    assert load(ENOUGH | {"TIKTOK_API_URL": url}).destinations["tiktok"].api_url == url


def test_no_authentication_has_to_be_said() -> None:
    environment = ENOUGH | {"SEGMENT_SHARED_SECRET": "", "RELAY_AUTHENTICATION": "none"}
    assert load(environment).sources["default"].signing_secrets == ()


TOML = """
[service]
port = 9000
presets_folder = "own"

[sources.web]
signing_secrets = ["env:WEB_SECRET", "file:old-secret"]
bearer_tokens = ["env:WEB_TOKEN"]

[destinations.eu]
pixel_code = "EU1"
access_token = "env:EU_TOKEN"
on_invalid_field = "reject"

[destinations.us]
pixel_code = "US1"
access_token = "env:US_TOKEN"
mappings = "us.json"
"""
TOML_ENVIRONMENT = {"WEB_SECRET": "a", "WEB_TOKEN": "b", "EU_TOKEN": "c", "US_TOKEN": "d"}


def test_toml_with_secrets_by_reference(tmp_path: Path) -> None:
    (tmp_path / "old-secret").write_text("old")
    file = tmp_path / "relay.toml"
    file.write_text(TOML)
    environment = TOML_ENVIRONMENT | {"RELAY_CONFIG": str(file), "RELAY_PORT": "9001"}
    configuration = load(environment)
    secrets = configuration.sources["web"].signing_secrets
    assert [one.get_secret_value() for one in secrets] == ["a", "old"]
    assert configuration.service.port == 9001, "for the service the environment decides"
    assert configuration.service.presets_folder == tmp_path / "own"
    assert configuration.destinations["us"].mappings == tmp_path / "us.json"
    assert configuration.destinations["eu"].on_invalid_field is OnInvalidField.REJECT


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"env:EU_TOKEN"', '"plain-secret"', ["destinations.eu.access_token", "do not belong"]),
        ("env:EU_TOKEN", "env:UNSET", ["EU".lower(), "UNSET", "not set"]),
        ("port = 9000", "prot = 9000", ["service.prot", "not permitted"]),
        ('pixel_code = "EU1"', "", ["destinations.eu.pixel_code", "required"]),
        ("[service]", "[service", ["is no TOML", "line"]),
        ("[sources.web]", "[sources.'a b']", ['the name "a b"']),
    ],
)
def test_what_is_wrong_in_toml_is_said(
    tmp_path: Path, old: str, new: str, words: list[str]
) -> None:
    (tmp_path / "old-secret").write_text("old")
    file = tmp_path / "relay.toml"
    file.write_text(TOML.replace(old, new, 1))
    with pytest.raises(ConfigurationError) as caught:
        load(TOML_ENVIRONMENT, file)
    for word in words:
        assert word in str(caught.value)
    assert "plain-secret" not in str(caught.value)


def test_preview_needs_no_credentials(tmp_path: Path) -> None:
    assert load_for_preview({}).destinations["tiktok"].pixel_code == "PIXEL_CODE"
    assert load_for_preview(ENOUGH).destinations["tiktok"].pixel_code == "PIXEL1"
    file = tmp_path / "relay.toml"
    file.write_text(TOML)
    assert set(load_for_preview({}, file).destinations) == {"eu", "us"}
