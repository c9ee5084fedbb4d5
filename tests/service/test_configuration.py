"""The configuration: from the environment alone, from TOML, and every way it can be wrong."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from conversion_relay.core.plan import OnInvalidField
from conversion_relay.errors import ConfigurationError
from conversion_relay.service.configuration import load, load_for_preview, unknown_variables
from conversion_relay.service.settings import DestinationSettings
from conversion_relay.service.settings.source import NO_CREDENTIAL
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
            ['relay.toml:3: service.prot: is not a setting; did you mean "port"?'],
        ),
        (
            "port = 9000",
            "zzz = 1",
            ["relay.toml:3: service.zzz: is not a setting; there are: host, port, database_url"],
        ),
        (
            "[service]",
            "[servce]",
            ['relay.toml:2: servce: is not a setting; did you mean "service"?'],
        ),
        (
            'pixel_code = "EU1"',
            'pixelcode = "EU1"',
            [
                "relay.toml:11: destinations.eu.pixelcode: is not a setting; ",
                'did you mean "pixel_code"?',
            ],
        ),
        (
            'pixel_code = "EU1"',
            "",
            [
                "relay.toml:10: destinations.eu.pixel_code: is required; ",
                "set it to the pixel that gets",
            ],
        ),
        ("port = 9000", "port = [9000]", ["relay.toml:3: service.port: must be a whole number"]),
        ("port = 9000", "host = 5", ["relay.toml:3: service.host: must be a text"]),
        ("[service]", "service = 5\n[other]", ["relay.toml:2: service: must be a table"]),
        (
            '"us.json"',
            '"us\\u0000.json"',
            ["relay.toml:18: destinations.us.mappings: must be a text"],
        ),
        (
            "file:old-secret",
            "file:a\\u0000b",
            ["relay.toml:7: sources.web.signing_secrets[1]: this is no path"],
        ),
        ("file:old-secret", "file:.", ["signing_secrets[1]: ", "cannot be read: Is a directory"]),
        ("port = 9000", f"port = {'9' * 5000}", ["relay.toml:3: a number has too many digits"]),
        ("port = 9000", f"port = {'[' * 2000}", ["is nested too deeply"]),
        ("port = 9000", f"{'a.' * 3000}b = 1", ["relay.toml:3: service.a: is not a setting"]),
        (
            "[service]",
            "[service",
            [
                "relay.toml:2: is no TOML: Expected ']' at the end of a table ",
                "declaration (column 9)",
            ],
        ),
        ("[sources.web]", "[sources.'a b']", ['relay.toml:6: sources."a b": the name has']),
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
        (
            "",
            [
                "relay.conf: sources: is required; add a table such as [sources.NAME]",
                "f: destinations: is",
            ],
        ),
        (
            "[sources]\n[destinations]",
            ["relay.conf:1: sources: needs at least one entry, such as [sources.NAME]"],
        ),
        (
            "sources = 1\ndestinations = []",
            ["relay.conf:1: sources: must be a table", "relay.conf:2: destinations: must"],
        ),
        ("[sources]\nweb = 1", ["relay.conf:2: sources.web: must be a table"]),
        (
            "[sources.web]\n[destinations.eu]",
            [
                "relay.conf:1: sources.web: no credential",
                "relay.conf:2: destinations.eu.access_token: is required; set it",
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
    with pytest.raises(ConfigurationError, match=r"relay\.toml:2: is no TOML: it is not UTF-8"):
        load({}, file)
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        load({}, tmp_path)


LITERALS = """
[service]
admin_token = "plain-secret"
encryption_key = "plain-secret"
[sources.web]
signing_secrets = [
  "env:WEB_SECRET",
  "plain-secret",
]
bearer_tokens = ["plain-secret"]
write_keys = ["file:key", "plain-secret", 5]
[destinations.eu]
pixel_code = "EU1"
access_token = "plain-secret"
proxy_url = "http://plain-secret"
"""


def test_every_literal_secret_is_refused_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("key")
    file = tmp_path / "relay.toml"
    file.write_text(LITERALS)
    with pytest.raises(ConfigurationError) as caught:
        load(TOML_ENVIRONMENT, file)
    _, *lines = str(caught.value).splitlines()
    assert [line.removeprefix(f"{file}:").partition(" must say where")[0] for line in lines] == [
        "3: service.admin_token:",
        "4: service.encryption_key:",
        "8: sources.web.signing_secrets[1]:",
        "10: sources.web.bearer_tokens[0]:",
        "11: sources.web.write_keys[1]:",
        "11: sources.web.write_keys[2]:",
        "14: destinations.eu.access_token:",
        "15: destinations.eu.proxy_url:",
    ]
    assert "plain-secret" not in str(caught.value)


EVERY_KIND = """\
[service]
max_nesting = 1
port = "9000"
[sources.web]
signing_secrets = ["env:NONE"]
destinations = ["eu", "en", "far-away"]
rate_limit = 0
write_keys = ["env:KEY", "env:KEY_TOO"]
[sources.app]
write_keys = ["env:KEY"]
match_keys = 1
visitor_ip = "guessed"
[sources.nobody]
rate_limt = 5
[destinations.eu]
pixel_code = " EU1"
access_token = "file:missing"
sharing = { leave_out = "user.email", truncat_ip = true }
[destinations.eu.more]
[destinations.us.sharing]
truncate_ip = "yes"
[extra]
"""


_NO_FILE = "cannot be read: No such file or directory"
_NOT_PLAIN = "must be a text without surrounding white space or control characters"
_SAME_KEY = "has the same write key; give each source its own"


def test_every_problem_of_a_file_is_said_at_once_in_its_order(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(EVERY_KIND)
    environment = {"KEY": "same-key", "KEY_TOO": "other", "RELAY_LOG_FORMAT": "xml"}
    with pytest.raises(ConfigurationError) as caught:
        load(environment | {"RELAY_PORT_FILE": str(tmp_path / "port")}, file)
    first, *lines = str(caught.value).splitlines()
    assert first == f"The configuration ({file}) cannot be used:"
    assert [line.removeprefix(f"{file}:") for line in lines] == [
        f"- RELAY_PORT_FILE: {tmp_path / 'port'} {_NO_FILE}",
        "- RELAY_LOG_FORMAT: must be 'auto', 'json' or 'console'",
        "2: service.max_nesting: must be at least 8",
        "3: service.port: must be a whole number",
        "5: sources.web.signing_secrets[0]: names the environment variable NONE, which is not set",
        '6: sources.web.destinations[1]: there is no destination "en"; known: eu, us',
        '6: sources.web.destinations[2]: there is no destination "far-away"; known: eu, us',
        "7: sources.web.rate_limit: must be at least 1",
        f"10: sources.app.write_keys[0]: sources.web.write_keys[0] {_SAME_KEY}",
        "11: sources.app.match_keys: must be true or false",
        "12: sources.app.visitor_ip: must be 'event' or 'connection'",
        f"13: sources.nobody: {NO_CREDENTIAL}",
        '14: sources.nobody.rate_limt: is not a setting; did you mean "rate_limit"?',
        f"16: destinations.eu.pixel_code: {_NOT_PLAIN}",
        f"17: destinations.eu.access_token: {tmp_path / 'missing'} {_NO_FILE}",
        "18: destinations.eu.sharing.leave_out: must be a list, in [ ]",
        '18: destinations.eu.sharing.truncat_ip: is not a setting; did you mean "truncate_ip"?',
        "19: destinations.eu.more: is not a setting; there are: "
        + ", ".join(DestinationSettings.model_fields),
        "20: destinations.us.pixel_code: is required; set it to the pixel that gets the events",
        "20: destinations.us.access_token: is required; set it to TikTok's access token",
        "21: destinations.us.sharing.truncate_ip: must be true or false",
        "22: extra: is not a setting; there are: service, alerts, canary, sources, destinations",
    ]


@pytest.mark.parametrize(
    "setting", ["rate_limit = true", 'rate_limit = "5"', "rate_limit = 1.5", "match_keys = 'true'"]
)
def test_in_a_file_a_value_has_its_own_type(tmp_path: Path, setting: str) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(TOML.replace("[sources.web]", f"[sources.web]\n{setting}"))
    (tmp_path / "old-secret").write_text("old")
    with pytest.raises(ConfigurationError, match=r"relay\.toml:7: sources\.web\.\w+: must be"):
        load(TOML_ENVIRONMENT, file)


def test_a_read_token_that_is_a_write_key_is_refused(tmp_path: Path) -> None:
    """Everybody knows it: it stands in web pages."""
    file = tmp_path / "relay.toml"
    keys = 'read_tokens = ["env:KEY"]\n[sources.pages]\nwrite_keys = ["env:KEY"]\n[sources.web]'
    file.write_text(TOML.replace("[sources.web]", keys))
    words = r"service\.read_tokens\[0\]: is a write key too, and those are known to everybody"
    with pytest.raises(ConfigurationError, match=words):
        load(TOML_ENVIRONMENT | {"KEY": "k", "RELAY_CONFIG": str(file)})


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"env:EU_TOKEN"', '"env:5ecret"', "access_token: names an environment variable that"),
        ('"env:EU_TOKEN"', '"env: EU\\u0000"', "access_token: names an environment variable that"),
        ("[sources.web]", '[sources."a\\nb"]', r'sources\."a\\nb": the name has to be of 1 to 63'),
        ("[sources.web]", f"[sources.{'a' * 64}]", "the name has to be of 1 to 63 letters"),
        ("[service]", "[service]\nreceive_seconds = true", "receive_seconds: must be a number"),
        ("[service]", '[service]\nreceive_seconds = "1"', "receive_seconds: must be a number"),
        (
            "[service]",
            "[service]\nmax_body_bytes = 96468993",
            "max_receiving_bytes: must be at least 110250278, because",
        ),
        (
            "[sources.web]",
            '[sources.web]\ndestinations = ["e\\nu"]',
            r'there is no destination "e\\nu"; did you mean "eu"\?',
        ),
        (
            "[sources.web]",
            '[sources.web]\nwrite_keys = ["env:EU_TOKEN"]',
            "destinations.eu.access_token: is a write key too, and those are known to everybody",
        ),
    ],
)
def test_what_is_wrong_is_said_on_one_line_and_without_a_secret(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    (tmp_path / "old-secret").write_text("old")
    (tmp_path / "us-token").write_text("us")
    file = tmp_path / "relay.toml"
    assert old in TOML
    file.write_text(TOML.replace(old, new))
    with pytest.raises(ConfigurationError, match=words) as caught:
        load(TOML_ENVIRONMENT, file)
    assert "5ecret" not in str(caught.value)
    assert all(line.startswith(f"{file}:") for line in str(caught.value).splitlines()[1:])


@pytest.mark.parametrize("secret", [" padded", "padded\n", "", "two\nlines", "\x7f"])
def test_a_secret_is_a_text_alone(secret: str) -> None:
    with pytest.raises(ConfigurationError, match="SEGMENT_SHARED_SECRET"):
        load(ENOUGH | {"SEGMENT_SHARED_SECRET": secret})


def test_a_mark_at_the_beginning_of_a_file_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "old-secret").write_text("\ufeffold\r\n", "utf-8")
    file = tmp_path / "relay.toml"
    file.write_text("\ufeff" + TOML, "utf-8")
    loaded = load(TOML_ENVIRONMENT, file)
    assert loaded.sources["web"].signing_secrets[1].get_secret_value() == "old"


@pytest.mark.parametrize("name", ["relay.toml", "old-secret"])
def test_a_file_without_an_end_is_not_read_to_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "relay.toml").write_text(TOML)
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(ConfigurationError, match=rf"{name} has more than \d+ bytes"):
        load(TOML_ENVIRONMENT, tmp_path / "relay.toml")


def test_a_database_lies_beside_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "old-secret").write_text("old")
    file = tmp_path / "relay.toml"
    for url, path in {
        "sqlite:///here/relay.db": tmp_path / "here" / "relay.db",
        "sqlite:////elsewhere/relay.db": Path("/elsewhere/relay.db"),
    }.items():
        file.write_text(TOML.replace("[service]", f'[service]\ndatabase_url = "{url}"'))
        assert load(TOML_ENVIRONMENT, file).service.database_path == path
    variables = TOML_ENVIRONMENT | {"RELAY_DATABASE_URL": "sqlite:///here/relay.db"}
    assert load(variables, file).service.database_path == Path("here/relay.db")


def test_variables_that_have_no_effect_beside_a_file_are_pointed_out(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(TOML.replace("env:EU_TOKEN", "env:TIKTOK_ACCESS_TOKEN"))
    environment = dict.fromkeys(("TIKTOK_ACCESS_TOKEN", "RELAY_PRESETS", "RELAY_PORT"), "x")
    (sentence,) = unknown_variables(environment | {"TIKTOK_PIXEL_CODE": ""}, file)
    assert sentence.startswith("RELAY_PRESETS has no effect beside a TOML file")


def test_a_credential_that_is_wrong_is_not_missing_as_well(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    text = TOML.replace('["env:WEB_SECRET", "file:old-secret"]', "[]")
    file.write_text(text.replace('["env:WEB_TOKEN"]', '"env:WEB_TOKEN"'))
    with pytest.raises(ConfigurationError) as caught:
        load(TOML_ENVIRONMENT, file)
    (line,) = str(caught.value).splitlines()[1:]
    assert line.endswith("relay.toml:8: sources.web.bearer_tokens: must be a list, in [ ]")


def test_two_sources_without_secrets_can_be_previewed(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(TOML + '[sources.a]\nwrite_keys=["env:A"]\n[sources.b]\nwrite_keys=["env:B"]')
    assert len(load_for_preview({}, file).sources) == 3


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


@pytest.mark.parametrize("in_file", [True, False])
def test_preview_needs_no_mail_server_either(tmp_path: Path, *, in_file: bool) -> None:
    file, people = tmp_path / "relay.toml", {"RELAY_ALERT_EMAIL_TO": "team@shop.example"}
    sender = {"RELAY_ALERT_EMAIL_FROM": "relay@shop.example"}
    server = {"RELAY_SMTP_URL": "smtps://user:password@mail.example"}
    file.write_text(TOML + '[alerts]\nemail_from = "relay@shop.example"\n')
    given = people if in_file else people | sender | server
    assert load_for_preview(given, file if in_file else None).alerts.email_to
