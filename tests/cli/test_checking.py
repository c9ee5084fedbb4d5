"""`check` and `schema`: what is configured or wrong, said at once and without a secret."""

from __future__ import annotations

import os
import re
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from conversion_relay.cli import application
from conversion_relay.service.schema import schema_text

PREFIXES = ("RELAY_", "TIKTOK_", "SEGMENT_")
SECRETS = {
    name: f"very-{name.lower()}-secret" for name in ("WEB", "WEB_OLD", "BEARER", "ADMIN", "TIKTOK")
}
TOML = """
[service]
admin_token = "env:ADMIN"
trusted_proxies = ["10.0.0.0/8"]
[sources.web]
signing_secrets = ["env:WEB", "env:WEB_OLD"]
bearer_tokens = ["env:BEARER"]
destinations = ["eu"]
rate_limit = 50
[sources.shop]
write_keys = ["file:key"]
visitor_ip = "connection"
match_keys = true
[destinations.eu]
pixel_code = "PIXEL-EU"
access_token = "env:TIKTOK"
proxy_url = "file:proxy"
consent_categories = ["Advertising", "Marketing"]
[destinations.eu.sharing]
leave_out = ["user.phone"]
truncate_ip = true
[destinations.us]
pixel_code = "PIXEL-US"
access_token = "env:TIKTOK"
mappings = "us.json"
"""
MAPPING = {
    "name": "Orders",
    "subscribe": 'event = "Order Completed"',
    "partnerAction": "reportWebEvent",
    "mapping": {"event": "PlaceAnOrder", "event_id": {"@path": "$.messageId"}},
}


def check(folder: Path, text: str | None, **variables: str) -> Result:
    """The command with this file, or with the environment alone."""
    unset = dict.fromkeys((name for name in os.environ if name.startswith(PREFIXES)), None)
    (folder / "key").write_text("very-key-secret")
    (folder / "proxy").write_text("http://very-proxy-secret:8080")
    (folder / "us.json").write_bytes(orjson.dumps([MAPPING]))
    (folder / "relay.toml").write_text(text or "")
    arguments = ["check", "--config", str(folder / "relay.toml")] if text else ["check"]
    return CliRunner().invoke(application, arguments, env={**unset, **SECRETS, **variables})


def test_what_is_configured_is_shown_with_the_places_of_secrets(tmp_path: Path) -> None:
    result = check(tmp_path, TOML)
    assert (result.exit_code, result.stderr) == (0, "")
    for words in (
        "relay.toml) can be used.",
        "  address: 127.0.0.1, port 8080",
        "  admin paths: with a token (env:ADMIN)",
        "  max_requests: 512",
        "  trusted proxies: 10.0.0.0/8",
        (
            "source web\n"
            "  webhook /webhook/web: 2 secrets (env:WEB, env:WEB_OLD), "
            "1 bearer token (env:BEARER)\n"
            "  library /v1/…: closed, because it has no write key\n"
            "  destinations: eu\n"
            "  rate limit: 50 events a second\n"
            "  visitor ip: the event's\n"
            "  match keys: not remembered\n"
        ),
        (
            "source shop\n"
            "  webhook /webhook/shop: closed, because it has no secret and no token\n"
            "  library /v1/…: 1 write key (file:key)\n"
            "  destinations: eu, us\n"
            "  rate limit: none\n"
            "  visitor ip: the connection's, where the event has none\n"
            "  match keys: remembered for 30d\n"
        ),
        (
            "destination eu\n"
            "  pixel: PIXEL-EU\n"
            "  API: TikTok's, by the proxy of file:proxy\n"
            "  access token: env:TIKTOK\n"
            "  test event code: not set\n"
            "  mappings: 7 mappings of tiktok-conversions.json\n"
        ),
        (
            "  consent: Advertising, Marketing; an event that says nothing of it is suppressed\n"
            "  sharing: leave_out user.phone; truncate_ip true\n"
        ),
        f"  mappings: 1 mapping of {tmp_path / 'us.json'}\n",
        "  consent: not asked for\n  sharing: all that is mapped\n",
    ):
        assert words in result.stdout
    assert not re.search(r"very-\w+-secret", result.output)


def test_the_environment_alone_is_checked_as_well(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("very-file-secret")
    result = check(
        tmp_path,
        None,
        TIKTOK_ACCESS_TOKEN_FILE=str(tmp_path / "token"),
        TIKTOK_PIXEL_CODE="PIXEL",
        SEGMENT_SHARED_SECRET="very-shared-secret",
        RELAY_PRESET="misspelt",
        RELAY_DATABASE_URL=f"sqlite:///{tmp_path}/none/relay.db",
    )
    assert result.exit_code == 0
    assert "1 secret (env:SEGMENT_SHARED_SECRET), no bearer token" in result.stdout
    assert f"access token: file:{tmp_path / 'token'}" in result.stdout
    assert "RELAY_PRESET is not a setting and has no effect; did you mean" in result.stderr
    assert not re.search(r"very-\w+-secret", result.output)
    assert not (tmp_path / "none").exists(), "no database is opened"


BROKEN = """\
[service]
max_nesting = 1
[sources.web]
signing_secrets = ["very-literal-secret"]
destinations = ["asia"]
[destinations.eu]
pixel_code = "PIXEL-EU"
access_token = "env:NOT_THERE"
presets = "tiktok-conversion"
sharing.leave_out = ["user.mail"]
sharing.hash = ["event_id"]
sharing.limited_data_use = "x"
sharing.limited_data_use_regions = ["XX"]
[destinations.us]
pixel_code = 5
access_token = "env:TIKTOK"
mappings = "broken.json"
[destinations.far]
pixel_code = "FAR"
access_token = "env:TIKTOK"
mappings = "missing.json"
"""


def test_every_problem_is_said_at_once_with_file_line_and_key(tmp_path: Path) -> None:
    broken = [
        {**MAPPING, "subscribe": "event ="},
        {**MAPPING, "name": "B", "mapping": {"a": {"@x": 1}}},
    ]
    (tmp_path / "broken.json").write_bytes(orjson.dumps(broken))
    result = check(tmp_path, BROKEN)
    assert (result.exit_code, result.stdout) == (2, "")
    first, *lines = result.stderr.splitlines()
    assert first.startswith("conversion-relay: The configuration (")
    begins = [
        line.removeprefix(f"{tmp_path / 'relay.toml'}:")
        for line in lines
        if line.startswith(str(tmp_path))
    ]
    expected = [
        "2: service.max_nesting: must be at least 8",
        "4: sources.web.signing_secrets[0]: must say where",
        '5: sources.web.destinations[0]: there is no destination "asia"; known: eu, us, far',
        "8: destinations.eu.access_token: names the environment variable NOT_THERE",
        '9: destinations.eu.presets: there is no preset file "tiktok-conversion.json"',
        '10: destinations.eu.sharing.leave_out: "user.mail" cannot be left out: there is no such',
        '11: destinations.eu.sharing.hash: "event_id" cannot be hashed',
        "12: destinations.eu.sharing.limited_data_use: must be 'as_mapped', 'always' or",
        '13: destinations.eu.sharing.limited_data_use_regions: "XX" must be a country',
        "15: destinations.us.pixel_code: must be a text",
        f"17: destinations.us.mappings: {tmp_path / 'broken.json'}: Orders: subscribe: ",
        f"17: destinations.us.mappings: {tmp_path / 'broken.json'}: B: mapping ",
        f"21: destinations.far.mappings: {tmp_path / 'missing.json'} cannot be read",
    ]
    assert len(begins) == len(expected)
    for line, begin in zip(begins, expected, strict=True):
        assert line.startswith(begin), line
    assert not re.search(r"very-\w+-secret", result.output)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[sources.web", "relay.toml:1: is no TOML: "),
        ("a = 1\na = 2\nb = 3", "relay.toml:2: is no TOML: Cannot overwrite a value (column 6)"),
        ("[sources.web]\na = [1,", "relay.toml:2: is no TOML: "),
    ],
)
def test_what_is_no_toml_is_said_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    result = check(tmp_path, text)
    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.parametrize("name", ["none", "key", "x" * 500])
def test_a_presets_folder_that_is_none_is_said_once(tmp_path: Path, name: str) -> None:
    result = check(tmp_path, TOML.replace("[service]", f'[service]\npresets_folder = "{name}"'))
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()[1:]
    assert line.endswith(f":3: service.presets_folder: {tmp_path / name} is no folder")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            '["env:WEB", "env:WEB_OLD"]\nbearer_tokens = ["env:BEARER"]',
            '[]\nauthentication = "none"',
            ":7: sources.web.authentication: anybody who reaches the webhook can post",
        ),
        (
            'trusted_proxies = ["10.0.0.0/8"]',
            "",
            ":12: sources.shop.visitor_ip: the service listens on this machine only",
        ),
        ('"10.0.0.0/8"', '"::/0"', ":12: sources.shop.visitor_ip: service.trusted_proxies names"),
        (
            "[service]",
            '[service]\ncors_origins = ["*", "https://a.example"]',
            ':3: service.cors_origins: "*" allows every site',
        ),
        (
            "[sources.shop]\n",
            '[sources.shop]\ndestinations = ["eu"]\n',
            ":23: destinations.us: no source sends to it",
        ),
        (
            "env:ADMIN",
            "env:BEARER",
            ":3: service.admin_token: is a credential of source web too",
        ),
        (
            "[service]",
            '[service]\nread_tokens = ["env:BEARER"]',
            ":3: service.read_tokens: holds a credential of source web too",
        ),
        (
            "[service]",
            '[service]\nread_tokens = ["env:ADMIN"]',
            ":3: service.read_tokens: holds the admin token too",
        ),
        (
            "[service]",
            "[service]\nmax_tracking_event_bytes = 512001",
            ":3: service.max_tracking_event_bytes: has no effect beyond max_tracking_body_bytes",
        ),
        (
            "[sources.web]",
            '[sources.web]\nvisitor_ip = "connection"',
            ":6: sources.web.visitor_ip: has no effect without write_keys",
        ),
        (
            "[sources.web]",
            '[sources.web]\nmatch_keys_retention = "1d"',
            ":6: sources.web.match_keys_retention: has no effect without match_keys = true",
        ),
        (
            '"PIXEL-US"',
            '"P"\nconsent_when_missing = "send"',
            ":24: destinations.us.consent_when_missing: has no effect without consent_categories",
        ),
        ('"PIXEL-US"', '"P"\ntest_event_code = "T1"', ":24: destinations.us.test_event_code: "),
        ('"PIXEL-US"', '"P"\npresets = "x"', ":24: destinations.us.presets: has no effect"),
        ('"PIXEL-US"', '"P"\nallow_any_api_host = true', ":24: destinations.us.allow_any_api_ho"),
        (
            '["user.phone"]',
            '["user"]',
            ":20: destinations.eu.sharing.leave_out: leaves nothing by which TikTok could tell",
        ),
    ],
)
def test_what_is_probably_not_meant_is_a_warning(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    assert old in TOML
    result = check(tmp_path, TOML.replace(old, new, 1))
    assert result.exit_code == 0
    (line,) = result.stderr.splitlines()
    assert line.startswith("conversion-relay: warning: ")
    assert words in line


@pytest.mark.parametrize("key", ["very-much-secret", "AAAA", ",", "A" * 43 + "=,AAAA"])
def test_an_encryption_key_that_is_none_is_refused(tmp_path: Path, key: str) -> None:
    text = TOML.replace("[service]", '[service]\nencryption_key = "env:KEY"')
    assert check(tmp_path, text, KEY="A" * 43 + "= " + "B" * 43 + "=").exit_code == 0
    result = check(tmp_path, text, KEY=key)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()[1:]
    assert ":3: service.encryption_key: is not base64 of 32 bytes" in line
    assert "very" not in line


def test_a_file_can_be_checked_where_there_are_no_secrets(tmp_path: Path) -> None:
    check(tmp_path, TOML)
    for name in ("key", "proxy"):
        (tmp_path / name).unlink()
    arguments = ["check", "--without-secrets", "--config", str(tmp_path / "relay.toml")]
    unset = dict.fromkeys(SECRETS, None)
    result = CliRunner().invoke(application, arguments, env=unset)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "1 write key (file:key)" in result.stdout
    (tmp_path / "relay.toml").write_text(TOML.replace("env:WEB_OLD", "literal"))
    result = CliRunner().invoke(application, arguments, env=unset)
    assert result.exit_code == 2
    assert ":6: sources.web.signing_secrets[1]: must say where" in result.stderr


def test_a_warning_about_the_environment_names_its_variable(tmp_path: Path) -> None:
    result = check(
        tmp_path,
        None,
        TIKTOK_ACCESS_TOKEN="a",
        TIKTOK_PIXEL_CODE="PIXEL",
        RELAY_AUTHENTICATION="none",
    )
    assert "warning: RELAY_AUTHENTICATION: anybody who" in result.stderr


def test_the_service_does_not_start_with_what_check_refuses(tmp_path: Path) -> None:
    check(tmp_path, BROKEN)
    arguments = ["serve", "--config", str(tmp_path / "relay.toml")]
    result = CliRunner().invoke(application, arguments, env=SECRETS)
    assert result.exit_code == 2
    assert ":9: destinations.eu.presets: there is no preset file" in result.stderr


def test_the_schema_is_printed() -> None:
    result = CliRunner().invoke(application, ["schema"])
    assert (result.exit_code, result.stdout) == (0, schema_text())
