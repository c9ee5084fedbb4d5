"""The address of the database in the settings: its forms, its password, what PostgreSQL needs."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from conversion_relay.errors import ConfigurationError
from conversion_relay.service.checks import checked
from conversion_relay.service.configuration import inspect, inspect_kept, load, load_for_preview
from conversion_relay.service.overview import overview
from conversion_relay.service.reload.candidate import Files
from conversion_relay.service.reload.starting import start_of
from conversion_relay.service.settings import ServiceSettings
from conversion_relay.service.settings.database import checked_database_url, separated
from conversion_relay.service.store.history import VersionRecord
from conversion_relay.service.targets import examine

KEY = base64.b64encode(b"k" * 32).decode()
ENOUGH = {
    "TIKTOK_ACCESS_TOKEN": "token-secret",
    "TIKTOK_PIXEL_CODE": "PIXEL1",
    "SEGMENT_SHARED_SECRET": "shared-secret",
    "RELAY_ENCRYPTION_KEY": KEY,
}
WITH_PASSWORD = "postgresql://relay:pa%2Fss%40w0rd@db.example:5432/events"
WITHOUT = "postgresql://relay@db.example:5432/events"
TOML = """
[service]
database_url = "{}"
{}
[sources.web]
bearer_tokens = ["env:BEARER"]
[destinations.eu]
pixel_code = "PIXEL"
access_token = "env:TOKEN"
"""
OF_THE_FILE = {"BEARER": "bearer", "TOKEN": "token", "RELAY_ENCRYPTION_KEY": KEY, "PGP": "other"}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (WITH_PASSWORD, (WITHOUT, "pa/ss@w0rd")),
        (WITHOUT, (WITHOUT, None)),
        ("postgres://u:p@h/d", ("postgres://u@h/d", "p")),
        ("postgres://u:@h/d", ("postgres://u@h/d", None)),
        (
            "postgresql://u:p@one:5432,two:5433/d?sslmode=verify-full&sslrootcert=/run/ca.pem",
            (
                "postgresql://u@one:5432,two:5433/d?sslmode=verify-full&sslrootcert=/run/ca.pem",
                "p",
            ),
        ),
        ("postgresql://u@h/d?password=p&sslmode=require",
         ("postgresql://u@h/d?sslmode=require", "p")),
        (
            "postgresql://u:p@[::1]:5432,[fe80::1]/d",
            ("postgresql://u@[::1]:5432,[fe80::1]/d", "p"),
        ),
        ("postgresql:///d?host=a,b&port=1,2", ("postgresql:///d?host=a,b&port=1,2", None)),
        ("postgresql:///d?host=/run/postgresql", ("postgresql:///d?host=/run/postgresql", None)),
        ("sqlite:///a:b@c.db", ("sqlite:///a:b@c.db", None)),
    ],
)  # fmt: skip
def test_a_password_is_taken_out_of_an_address(url: str, expected: tuple[str, str | None]) -> None:
    parts = separated("database_url", url)
    assert (parts["database_url"], parts.get("database_password")) == expected
    assert checked_database_url(parts["database_url"]) == expected[0]


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u@h/d",
        "sqlite:///",
        "postgresql://h",
        "postgresql://h/",
        "postgresql://u:w0rd/x@h/d",
        "postgresql://u:w0rd#x@h/d",
        "postgresql://u:w0rd?x@h/d",
        "postgresql://u:w0rd@x@h/d",
        "postgresql://u@h/d?sslpassword=w0rd",
        "postgresql://u@h/d?passfile=w0rd",
        "postgresql://u@h/d?service=w0rd",
        "postgresql://u@h/a b",
        "postgresql://u@h:w0rd/d",
        "postgresql://u@h:65536/d",
        "postgresql://u@h:0/d",
        "postgresql://u@h:/d",
        "postgresql://u@one:5432,two:w0rd/d",
        "postgresql://u@[::1/d",
        "postgresql://u@[w0rd]:5432/d",
        "postgresql://u@::1:5432/d",
        "postgresql://u@h/d?port=5432,w0rd",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(ENOUGH | {"RELAY_DATABASE_URL": url})
    assert "RELAY_DATABASE_URL: must" in str(refused.value)
    assert "w0rd" not in str(refused.value)


@pytest.mark.parametrize("by_file", [False, True])
def test_the_password_of_the_variable_is_a_secret_from_then_on(
    tmp_path: Path, by_file: bool
) -> None:
    given = {"RELAY_DATABASE_URL": WITH_PASSWORD}
    if by_file:
        (tmp_path / "url").write_text(WITH_PASSWORD)
        given = {"RELAY_DATABASE_URL_FILE": str(tmp_path / "url")}
    inspection = inspect(ENOUGH | given)
    service = inspection.usable().service
    assert service.database_url == WITHOUT
    assert service.database_path is None
    assert service.database_password is not None
    assert service.database_password.get_secret_value() == "pa/ss@w0rd"
    assert "w0rd" not in repr(inspection.usable())
    found = checked(inspection, examine)
    lines = "\n".join(overview(found.configuration, inspection.references, found.examined))
    assert f"database: {WITHOUT}, with a password (env:RELAY_DATABASE_URL)" in lines
    assert "w0rd" not in lines
    candidate = Files(ENOUGH | given).read()
    assert "w0rd" not in candidate.content


def test_two_passwords_are_one_too_many() -> None:
    given = {"RELAY_DATABASE_URL": WITH_PASSWORD, "RELAY_DATABASE_PASSWORD": "another"}
    with pytest.raises(ConfigurationError, match="RELAY_DATABASE_PASSWORD: is set, and RELAY_DA"):
        load(ENOUGH | given)
    apart = load(ENOUGH | given | {"RELAY_DATABASE_URL": WITHOUT}).service
    assert apart.database_password is not None
    assert apart.database_password.get_secret_value() == "another"


def test_a_version_that_was_kept_has_the_address_and_password_of_today() -> None:
    kept = Files(ENOUGH | {"RELAY_DATABASE_URL": WITH_PASSWORD}).read().content
    assert "env:RELAY_DATABASE_URL" not in kept, "it would be read as a password"
    for environment in (
        {"RELAY_DATABASE_URL": WITH_PASSWORD.replace("pa%2Fss%40w0rd", "new")},
        {"RELAY_DATABASE_URL": WITHOUT, "RELAY_DATABASE_PASSWORD": "new"},
    ):
        restored = Files(ENOUGH | environment).restored(kept, "version 1").configuration.service
        assert restored.database_password is not None
        assert restored.database_password.get_secret_value() == "new"
        assert restored.database_url == WITHOUT


def test_a_file_names_the_place_of_the_password(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    for address in (WITH_PASSWORD, f"{WITHOUT}?password=w0rd", f"{WITHOUT}?Password=w0rd"):
        file.write_text(TOML.format(address, ""))
        with pytest.raises(ConfigurationError, match="_url: holds a password") as refused:
            load(OF_THE_FILE, file)
        assert "w0rd" not in str(refused.value)
    file.write_text(TOML.format(WITHOUT, 'database_password = "env:PGP"'))
    service = load(OF_THE_FILE, file).service
    assert service.database_password is not None
    assert service.database_password.get_secret_value() == "other"
    inside = load(OF_THE_FILE | {"RELAY_DATABASE_URL": WITH_PASSWORD}, file).service
    assert inside.database_password is not None
    assert inside.database_password.get_secret_value() == "pa/ss@w0rd"


def test_postgresql_needs_a_key_that_all_nodes_have() -> None:
    without = {name: value for name, value in ENOUGH.items() if name != "RELAY_ENCRYPTION_KEY"}
    with pytest.raises(ConfigurationError, match=r"RELAY_ENCRYPTION_KEY: is needed with postg"):
        load(without | {"RELAY_DATABASE_URL": WITHOUT})
    assert load(without).service.encryption_key is None
    shown = load_for_preview(without | {"RELAY_DATABASE_URL": WITHOUT})
    assert shown.service.database_url == WITHOUT


@pytest.mark.parametrize("name", ["", "-a", "a b", "ä", "a" * 61, "a/b"])
def test_a_node_has_a_plain_name(name: str) -> None:
    with pytest.raises(ConfigurationError, match="node_name: must be 1 to 60"):
        inspect_kept({"service": {"node_name": name}, "sources": {}}, {}, "it").usable()


def test_what_only_a_server_has_is_said_to_be_idle() -> None:
    given = {"RELAY_NODE_NAME": "one", "RELAY_DATABASE_POOLER": "true"}
    warnings = checked(inspect(ENOUGH | given), examine).warnings
    assert [one for one in warnings if "sqlite" in one] == [
        "RELAY_DATABASE_POOLER: has no effect with sqlite:///",
        "RELAY_NODE_NAME: has no effect with sqlite:///",
    ]
    weak = {"RELAY_DATABASE_URL": WITHOUT, "RELAY_WEAK_DURABILITY": "true"}
    (warning,) = checked(inspect(ENOUGH | weak), examine).warnings
    assert warning.startswith("RELAY_WEAK_DURABILITY: a crash of the database may lose")


async def test_files_that_are_no_toml_still_say_how_the_server_is_reached(tmp_path: Path) -> None:
    asked: list[ServiceSettings] = []

    async def newest(settings: ServiceSettings) -> VersionRecord | None:
        asked.append(settings)
        return None

    file = tmp_path / "relay.toml"
    lines = 'database_password = "env:PGP"\nweak_durability = true\ndatabase_pooler = false\n[x'
    file.write_text(TOML.format(WITHOUT, lines))
    with pytest.raises(ConfigurationError, match="no TOML"):
        await start_of(Files(OF_THE_FILE, file), newest, strict=False)
    (found,) = asked
    assert found.database_password is not None
    assert found.database_password.get_secret_value() == "other"
    assert (found.weak_durability, found.database_pooler) == (True, False)
    environment = OF_THE_FILE | {"RELAY_DATABASE_URL": WITH_PASSWORD}
    with pytest.raises(ConfigurationError, match="no TOML"):
        await start_of(Files(environment, file), newest, strict=False)
    assert asked[-1].database_url == WITHOUT
    assert asked[-1].database_password is not None
    assert asked[-1].database_password.get_secret_value() == "pa/ss@w0rd"
