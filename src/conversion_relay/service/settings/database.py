"""The address of the database: which engine it means, and its password apart from it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode

SQLITE_URL: Final = "sqlite:///"
POSTGRESQL_URLS: Final = ("postgresql://", "postgres://")
URL_PATTERN: Final = (
    r"^(sqlite:///.+|postgres(ql)?://([^\s:@/?#]+@)?[^\s@/?#]*/[^\s@/?#]+(\?[^\s@#]+)?)$"
)
_INSIDE: Final = (
    "holds a password: leave it out of the address, and name its place in database_password "
    '(RELAY_DATABASE_PASSWORD), as "env:NAME" or "file:PATH"'
)
URL: Final = "database_url"
PASSWORD: Final = "database_password"  # noqa: S105 - the name of a setting
_PARTS: Final = re.compile(
    r"(?P<scheme>postgres(?:ql)?://)(?:(?P<user>[^\s:@/?#]*)(?::(?P<password>[^\s@/?#]*))?@)?"
    r"(?P<hosts>[^\s@/?#]*)/(?P<database>[^\s@/?#]+)(?:\?(?P<options>[^\s@#]+))?"
)
_FORM: Final = (
    "must be sqlite:///relative/path.db, sqlite:////absolute/path.db or "
    "postgresql://user@host:5432/database; in a user or a password, what is neither a letter "
    "nor a digit is written as % and two digits"
)
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\[\]:]*)(:(?P<port>[^:]*))?")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_LAST_PORT: Final = 65535
_PASSWORD_OPTION: Final = "password"  # noqa: S105 - the name of an option
_PORT_OPTION: Final = "port"
_REFUSED_OPTIONS: Final = {
    "sslpassword": "a password of a key file: take a key that has none",
    "service": "a service of PostgreSQL's own files: give the address itself",
    "passfile": "a file of passwords: name the one for it in database_password",
}


def is_postgresql(url: str) -> bool:
    """Whether several nodes can work over it."""
    return url.startswith(POSTGRESQL_URLS)


def checked_database_url(url: str) -> str:
    """The address, without any password.

    Raises:
        ValueError: it is none, or holds a password; says nothing of what it holds.
    """
    if url.startswith(SQLITE_URL) and url != SQLITE_URL:
        return url
    found = _PARTS.fullmatch(url)
    if found is None:
        raise ValueError(_FORM)
    if found["password"] is not None:
        raise ValueError(_INSIDE)
    if not all(map(_is_host, found["hosts"].split(","))):
        raise ValueError(_FORM)
    for option in _options(found["options"] or ""):
        _require_fit(*option)
    return url


def separated(name: str, value: str) -> Mapping[str, str]:
    """The settings that the value of a variable fills: itself, and the password of an address.

    Args:
        name: of the setting.
        value: of the variable.
    """
    found = _PARTS.fullmatch(value) if name == URL else None
    if found is None:
        return {name: value}
    options = dict(_options(found["options"] or ""))
    inside = unquote(found["password"] or "")
    password = options.pop(_PASSWORD_OPTION, None) or inside
    user = f"{found['user']}@" if found["user"] else ""
    rest = f"?{urlencode(options, safe='/,:')}" if options else ""
    url = f"{found['scheme']}{user}{found['hosts']}/{found['database']}{rest}"
    return {URL: url, PASSWORD: password} if password else {URL: url}


def _require_fit(name: str, value: str) -> None:
    """Refuse an option that says a secret or cannot be used."""
    if name.lower() == _PASSWORD_OPTION:
        raise ValueError(_INSIDE)
    if name in _REFUSED_OPTIONS:
        message = f"must not name {_REFUSED_OPTIONS[name]}"
        raise ValueError(message)
    if name == _PORT_OPTION and not all(map(_is_port, value.split(","))):
        raise ValueError(_FORM)


def _is_host(text: str) -> bool:
    """Whether it names a server; the driver would repeat one that does not."""
    found = _HOST.fullmatch(text)
    return found is not None and (found["port"] is None or _is_port(found["port"]))


def _is_port(text: str) -> bool:
    return _PORT.fullmatch(text) is not None and 0 < int(text) <= _LAST_PORT


def _options(text: str) -> list[tuple[str, str]]:
    """What stands behind the question mark."""
    return parse_qsl(text, keep_blank_values=True)
