"""The configuration: from the environment alone, from TOML, and every way it can be wrong."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from conversion_relay.core.plan import OnInvalidField
from conversion_relay.errors import ConfigurationError
from conversion_relay.service.configuration import load, load_for_preview, unknown_variables
from conversion_relay.service.store.port import Retention

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


def test_retentions_are_times() -> None:
    given = {
        "RELAY_RETENTION": "90s",
        "RELAY_UNMATCHED_RETENTION": "30m",
        "RELAY_DEAD_LETTER_RETENTION": "24h",
        "RELAY_LEDGER_RETENTION": "7d",
    }
    assert load(ENOUGH).service.retentions == Retention()
    assert load(ENOUGH | given).service.retentions == Retention(
        timedelta(seconds=90), timedelta(minutes=30), timedelta(hours=24), timedelta(days=7)
    )


def test_a_file_may_hold_several_keys(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("first\nsecond\n")
    service = load(ENOUGH | {"RELAY_ENCRYPTION_KEY_FILE": str(tmp_path / "keys")}).service
    assert service.encryption_key is not None
    assert service.encryption_key.get_secret_value() == "first\nsecond"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"SEGMENT_SHARED_SECRET": ""},
            ["- SEGMENT_SHARED_SECRET / RELAY_BEARER_TOKEN: no credential", "AUTHENTICATION=none"],
        ),
        ({"TIKTOK_PIXEL_CODE": ""}, ["- TIKTOK_PIXEL_CODE: is required; set it to the pixel"]),
        ({"TIKTOK_ACCESS_TOKEN": ""}, ["- TIKTOK_ACCESS_TOKEN: is required; set it to TikTok's"]),
        ({"TIKTOK_ACCESS_TOKEN": "tökén"}, ["TIKTOK_ACCESS_TOKEN", "printable ASCII"]),
        ({"RELAY_PORT": "99999"}, ["- RELAY_PORT: must be at most 65535"]),
        ({"RELAY_PORT": "0"}, ["- RELAY_PORT: must be at least 1"]),
        ({"RELAY_PORT": "9" * 5000}, ["- RELAY_PORT: must be a whole number"]),
        ({"RELAY_PORT": "1.5"}, ["- RELAY_PORT: must be a whole number"]),
        ({"RELAY_LOWER_CASE_EXTERNAL_ID": "x"}, ["EXTERNAL_ID: must be true or false"]),
        ({"RELAY_ON_INVALID_FIELD": "maybe"}, ["RELAY_ON_INVALID_FIELD", "'omit' or 'reject'"]),
        ({"RELAY_LOG_FORMAT": "xml"}, ["RELAY_LOG_FORMAT: must be 'auto', 'json' or 'console'"]),
        ({"RELAY_RECEIVE_SECONDS": "soon"}, ["- RELAY_RECEIVE_SECONDS: must be a number"]),
        ({"RELAY_RECEIVE_SECONDS": "inf"}, ["- RELAY_RECEIVE_SECONDS: must be a finite number"]),
        ({"RELAY_RECEIVE_SECONDS": "nan"}, ["- RELAY_RECEIVE_SECONDS: must be a finite number"]),
        ({"RELAY_RECEIVE_SECONDS": "600.5"}, ["- RELAY_RECEIVE_SECONDS: must be at most 600"]),
        ({"RELAY_RECEIVE_SECONDS": "0"}, ["- RELAY_RECEIVE_SECONDS: must be more than 0"]),
        ({"RELAY_DEFAULT_PHONE_REGION": "Germany"}, ["RELAY_DEFAULT_PHONE_REGION", "two-letter"]),
        ({"RELAY_DATABASE_URL": "mysql://x"}, ["RELAY_DATABASE_URL", "sqlite:///"]),
        ({"RELAY_RETENTION": "a week"}, ['- RELAY_RETENTION: must be a time such as "90s"']),
        ({"RELAY_RETENTION": "7 d"}, ['- RELAY_RETENTION: must be a time such as "90s"']),
        ({"RELAY_RETENTION": "-7d"}, ['- RELAY_RETENTION: must be a time such as "90s"']),
        ({"RELAY_UNMATCHED_RETENTION": "59s"}, ["UNMATCHED_RETENTION: must be 1m at least"]),
        ({"RELAY_LEDGER_RETENTION": "3651d"}, ["LEDGER_RETENTION: must be 1m at least and 3650d"]),
        ({"RELAY_LEDGER_RETENTION": "6d"}, ["LEDGER_RETENTION: must not be less than retention"]),
        (
            {"RELAY_RETENTION": "15d"},
            ["- RELAY_LEDGER_RETENTION: must not be less than retention (RELAY_RETENTION)"],
        ),
        ({"RELAY_DEAD_LETTER_RETENTION": "1h"}, ["LETTER_RETENTION: must not be less than"]),
        ({"RELAY_ENCRYPTION_KEY": "first sécond"}, ["RELAY_ENCRYPTION_KEY", "printable ASCII"]),
        ({"RELAY_AUTHENTICATION": "none"}, ["credentials are set, which would not be checked"]),
        (
            {"SEGMENT_SHARED_SECRET_FILE": "/nowhere", "SEGMENT_SHARED_SECRET": ""},
            ["cannot be read"],
        ),
        (
            {"SEGMENT_SHARED_SECRET_FILE": "/", "SEGMENT_SHARED_SECRET": ""},
            ["SEGMENT_SHARED_SECRET_FILE: / cannot be read: Is a directory"],
        ),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, str], words: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(ENOUGH | changes)
    for word in words:
        assert word in str(caught.value)


ANY_HOST = {"TIKTOK_API_ALLOW_ANY_HOST": "true"}


@pytest.mark.parametrize(
    ("url", "changes", "words"),
    [
        ("https://tiktok.evil.example", {}, "allow_any_api_host"),
        ("https://business-api.tiktok.com.evil.example", {}, "allow_any_api_host"),
        ("http://business-api.tiktok.com", {}, "allow_any_api_host"),
        ("https://business-api.tiktok.com:8443", {}, "allow_any_api_host"),
        ("http://proxy.example", ANY_HOST, "must begin with https://"),
        ("http://business-api.tiktok.com", ANY_HOST, "must begin with https://"),
        ("ftp://127.0.0.1", {}, "must be an address like"),
        ("127.0.0.1:9090", {}, "must be an address like"),
        ("https://", ANY_HOST, "must be an address like"),
        ("http://127.0.0.1:0", {}, "must be an address like"),
        ("http://127.0.0.1:65536", {}, "must be an address like"),
        ("http://127.0.0.1:port", {}, "must be an address like"),
        ("http://[::1", {}, "must be an address like"),
        ("http://127.0.0.1 /", {}, "must be an address like"),
        ("http://127.0.0.1\t", {}, "white space or control characters"),
        ("http://user:word@127.0.0.1", {}, "must be an address alone"),
        ("http://:word@127.0.0.1", {}, "must be an address alone"),
        ("http://127.0.0.1?a=b", {}, "must be an address alone"),
        ("http://127.0.0.1#a", {}, "must be an address alone"),
        ("https://business-api.tiktok.com/?", {}, "must be an address alone"),
    ],
)
def test_where_access_tokens_are_not_sent(url: str, changes: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(ENOUGH | changes | {"TIKTOK_API_URL": url})
    (line,) = str(caught.value).splitlines()[1:]
    assert line.startswith("- TIKTOK_API_URL: ")
    assert words in line
    assert "word@" not in line


@pytest.mark.parametrize(
    ("url", "changes"),
    [
        ("http://127.0.0.1:9090", {}),
        ("http://localhost:9090/", {}),
        ("http://[::1]:9090", {}),
        ("https://business-api.tiktok.com/", {}),
        ("https://proxy.example:8443/tiktok", ANY_HOST),
    ],
)
def test_where_access_tokens_may_be_sent(url: str, changes: dict[str, str]) -> None:
    settings = load(ENOUGH | changes | {"TIKTOK_API_URL": url}).destinations["tiktok"]
    assert settings.api_url == url


def test_every_problem_is_said_at_once_and_no_value() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load({"TIKTOK_ACCESS_TOKEN": "bad\nsecret", "RELAY_PORT": "x"})
    message = str(caught.value)
    for name in ("TIKTOK_PIXEL_CODE", "TIKTOK_ACCESS_TOKEN", "RELAY_PORT", "no credential"):
        assert name in message
    assert "bad" not in message


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
        (
            "port = 9000",
            "prot = 9000",
            ['- service.prot: is not a setting; did you mean "port"?'],
        ),
        (
            "port = 9000",
            "zzz = 1",
            ["- service.zzz: is not a setting; there are: host, port, database_url"],
        ),
        ("[service]", "[servce]", ['- servce: is not a setting; did you mean "service"?']),
        (
            'pixel_code = "EU1"',
            'pixelcode = "EU1"',
            ['- destinations.eu.pixelcode: is not a setting; did you mean "pixel_code"?'],
        ),
        (
            'pixel_code = "EU1"',
            "",
            ["- destinations.eu.pixel_code: is required; set it to the pixel that gets"],
        ),
        ("port = 9000", "port = [9000]", ["- service.port: must be a whole number"]),
        ("port = 9000", "host = 5", ["- service.host: must be a text"]),
        ("[service]", "service = 5\n[other]", ["- service: must be a table"]),
        ('"us.json"', '"us\\u0000.json"', ["- destinations.us.mappings: must be a text"]),
        ("file:old-secret", "file:a\\u0000b", ["signing_secrets[1]: this is no path"]),
        ("file:old-secret", "file:.", ["signing_secrets[1]: ", "cannot be read: Is a directory"]),
        ("port = 9000", f"port = {'9' * 5000}", ["holds a number with too many digits"]),
        ("port = 9000", f"port = {'[' * 2000}", ["is nested too deeply"]),
        ("port = 9000", f"{'a.' * 3000}b = 1", ["- service.a: is not a setting"]),
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


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["- sources: is required; add a table such as [sources.NAME]", "- destinations: is"]),
        (
            "[sources]\n[destinations]",
            ["- sources: needs at least one entry, such as [sources.NAME]"],
        ),
        ("sources = 1\ndestinations = []", ["- sources: must be a table", "- destinations: must"]),
        ("[sources]\nweb = 1", ["- sources.web: must be a table"]),
        (
            "[sources.web]\n[destinations.eu]",
            [
                "- sources.web: no credential",
                "- destinations.eu.access_token: is required; set it",
            ],
        ),
    ],
)
def test_what_is_missing_in_toml_is_said(tmp_path: Path, text: str, words: list[str]) -> None:
    file = tmp_path / "relay.conf"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load({}, file)
    for word in words:
        assert word in str(caught.value)


def test_a_file_that_is_no_text_is_said(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_bytes(bytes(range(256)))
    with pytest.raises(ConfigurationError, match="is no TOML: it is not UTF-8"):
        load({}, file)
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        load({}, tmp_path)


def test_misspelt_variables_are_pointed_out() -> None:
    environment = {
        "RELAY_PRESET": "x",
        "RELAY_PORTT_FILE": "x",
        "RELAY_ZZZ": "x",
        "TIKTOK_ACESS_TOKEN": "x",
        "SEGMENT_SHARED_SECRETS": "x",
        "RELAY_PORT": "x",
        "RELAY_ADMIN_TOKEN_FILE": "x",
        "RELAY_CONFIG": "",
        "TIKTOK_APP_ID": "of another program",
        "SEGMENT_WORKSPACE": "of another program",
        "HOME": "x",
    }
    meant = {
        "RELAY_PORTT_FILE": "; did you mean RELAY_PORT_FILE?",
        "RELAY_PRESET": "; did you mean RELAY_PRESETS?",
        "RELAY_ZZZ": "",
        "SEGMENT_SHARED_SECRETS": "; did you mean SEGMENT_SHARED_SECRET?",
        "TIKTOK_ACESS_TOKEN": "; did you mean TIKTOK_ACCESS_TOKEN?",
    }
    assert unknown_variables(environment) == tuple(
        f"{name} is not a setting and has no effect{hint}" for name, hint in meant.items()
    )


def test_variables_that_the_file_names_are_known(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(TOML.replace("env:EU_TOKEN", "env:RELAY_TOKEN_OF_EU"))
    environment = {"RELAY_TOKEN_OF_EU": "x", "RELAY_TOKEN_OF_US": "x"}
    (sentence,) = unknown_variables(environment, file)
    assert sentence == "RELAY_TOKEN_OF_US is not a setting and has no effect"


def test_preview_needs_no_credentials(tmp_path: Path) -> None:
    assert load_for_preview({}).destinations["tiktok"].pixel_code == "PIXEL_CODE"
    assert load_for_preview(ENOUGH).destinations["tiktok"].pixel_code == "PIXEL1"
    file = tmp_path / "relay.toml"
    file.write_text(TOML)
    assert set(load_for_preview({}, file).destinations) == {"eu", "us"}
