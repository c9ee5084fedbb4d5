"""Kinds of settings: texts, secrets, times, addresses, networks; each with its check.

Beside its check, each kind says in JSON Schema what a TOML file may hold there. Knows no group of
settings, no file and no environment.
"""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import phonenumbers
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    WithJsonSchema,
)
from pydantic_core import PydanticKnownError

from conversion_relay.service.durations import read_duration
from conversion_relay.service.settings.database import URL_PATTERN, checked_database_url

TIKTOK_API_URL: Final = "https://business-api.tiktok.com"
LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})
ANY_ORIGIN: Final = "*"
PLACEHOLDER: Final = "http://placeholder/"
"""Stands where a secret is not known: good as a token and as an address."""
_NODE_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$"
_BESIDE_AN_ADDRESS = re.compile(r"[@?#\\]")
_SHORTEST_TIME = timedelta(minutes=1)
_SHORTEST_PERIOD = timedelta(seconds=5)
_LONGEST_TIME = timedelta(days=3650)


class Settings(BaseModel):
    """A frozen group of settings; what it does not know is an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True
    )


class VariableText(str):
    """The value of an environment variable: the only text that may stand for a number."""

    __slots__ = ()


def _number(value: object) -> object:
    """Not a truth value, and no text of a file: there, a number is written as one."""
    if isinstance(value, bool) or (isinstance(value, str) and not isinstance(value, VariableText)):
        raise PydanticKnownError("int_type")
    return value


def _decimal(value: object) -> object:
    try:
        return _number(value)
    except PydanticKnownError:
        raise PydanticKnownError("float_type") from None


def _truth(value: object) -> object:
    if not isinstance(value, bool | VariableText):
        raise PydanticKnownError("bool_type")
    return value


def _checked_region(region: str) -> str:
    if region.upper() not in phonenumbers.SUPPORTED_REGIONS:
        message = 'must be a two-letter country code such as "US"'
        raise ValueError(message)
    return region.upper()


def _checked_node_name(name: str) -> str:
    if not re.fullmatch(_NODE_NAME, name):
        message = 'must be 1 to 60 letters (a to z), digits, ".", "_" and "-"'
        raise ValueError(message)
    return name


def plain_text(text: str) -> str:
    """The text, which has no surrounding white space and no control characters."""
    if not text.strip() or text != text.strip() or not text.isprintable():
        message = "must be a text without surrounding white space or control characters"
        raise ValueError(message)
    return text


def _checked_path(path: object) -> object:
    """Looked at as a text: as a path, an empty one would be the present folder."""
    return plain_text(path) if isinstance(path, str) else path


def _secret_text(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    if not value or value != value.strip() or not value.isascii() or not value.isprintable():
        message = "must be a text of printable ASCII characters, without white space around it"
        raise ValueError(message)
    return secret


def _secret_list(secret: SecretStr) -> SecretStr:
    """Several secrets, with white space or commas between them."""
    for part in secret.get_secret_value().split() or [""]:
        _secret_text(SecretStr(part))
    return secret


def duration_of(text: str) -> timedelta:
    """The time that a setting such as "24h" means."""
    found = read_duration(text)
    if found is None:
        message = 'must be a time such as "90s", "30m", "24h" or "7d"'
        raise ValueError(message)
    return found


def _checked_time(text: str) -> str:
    if not _SHORTEST_TIME <= duration_of(plain_text(text)) <= _LONGEST_TIME:
        message = (
            f"must be {_SHORTEST_TIME // timedelta(minutes=1)}m at least and "
            f"{_LONGEST_TIME.days}d at most"
        )
        raise ValueError(message)
    return text


def _checked_short_time(text: str) -> str:
    if not _SHORTEST_PERIOD <= duration_of(plain_text(text)) <= _LONGEST_TIME:
        seconds, days = _SHORTEST_PERIOD // timedelta(seconds=1), _LONGEST_TIME.days
        message = f"must be {seconds}s at least and {days}d at most"
        raise ValueError(message)
    return text


def _checked_api_url(url: str) -> str:
    """A base address: where credentials, a query or a fragment would stand, a mistake stands."""
    plain_text(url)
    if " " in url or not is_address(url):
        message = f"must be an address like {TIKTOK_API_URL} or http://127.0.0.1:9090"
        raise ValueError(message)
    if _BESIDE_AN_ADDRESS.search(url):
        message = f"must be an address alone, like {TIKTOK_API_URL}: no user, password, ? or #"
        raise ValueError(message)
    return url


def is_address(url: str) -> bool:
    """Whether it is an http or https address with a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or brackets around no address
        return False


def _checked_origin(origin: str) -> str:
    if origin == ANY_ORIGIN:
        return origin
    parts = urlsplit(origin) if is_address(origin) else None
    if parts is None or origin != f"{parts.scheme}://{parts.netloc}" or "@" in origin:
        message = 'must be "*" or a site such as "https://shop.example", without a path'
        raise ValueError(message)
    return origin


def _checked_network(network: str) -> str:
    try:
        return str(ip_network(network))
    except ValueError:
        message = 'must be an address or a network such as "10.0.0.0/8"'
        raise ValueError(message) from None


def _text(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern})


_ONE_LINE: Final = _text(r"^\S([^\x00-\x1f\x7f]*\S)?$")
_REFERENCE: Final = _text("^(env|file):.+$")
"""Where a secret is found; the secret itself does not belong in the file."""

Whole = Annotated[int, BeforeValidator(_number)]
Decimal = Annotated[float, BeforeValidator(_decimal)]
Truth = Annotated[bool, BeforeValidator(_truth)]
PlainText = Annotated[str, AfterValidator(plain_text), _ONE_LINE]
Secret = Annotated[SecretStr, AfterValidator(_secret_text), _REFERENCE]
SecretList = Annotated[SecretStr, AfterValidator(_secret_list), _REFERENCE]
TimeText = Annotated[
    str, AfterValidator(_checked_time), _text(r"^[0-9]{1,6}(\.[0-9]{1,3})?[smhd]$")
]
ShortTime = Annotated[
    str, AfterValidator(_checked_short_time), _text(r"^[0-9]{1,6}(\.[0-9]{1,3})?[smhd]$")
]
FilePath = Annotated[Path, BeforeValidator(_checked_path), _ONE_LINE]
ApiUrl = Annotated[str, AfterValidator(_checked_api_url), _text(r"^https?://[^\s@?#\\]+$")]
DatabaseUrl = Annotated[str, AfterValidator(checked_database_url), _text(URL_PATTERN)]
NodeName = Annotated[str, AfterValidator(_checked_node_name), _text(_NODE_NAME)]
PhoneRegion = Annotated[str, AfterValidator(_checked_region), _text("^[A-Za-z]{2}$")]
Origin = Annotated[str, AfterValidator(_checked_origin), _text(r"^(\*|https?://[^\s/?#@\\]+)$")]
Network = Annotated[str, AfterValidator(_checked_network), _text(r"^[0-9A-Fa-f.:]+(/[0-9.]+)?$")]
Port = Annotated[int, Field(ge=1, le=65535), BeforeValidator(_number)]
Count = Annotated[int, Field(ge=1), BeforeValidator(_number)]
