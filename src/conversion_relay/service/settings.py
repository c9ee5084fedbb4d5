"""What can be configured, with its defaults and limits.

These models are the border: they are filled from the environment or a TOML file by
`configuration.py` and are frozen from then on. Knows no file and no environment.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

import phonenumbers
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from conversion_relay.core.plan import OnInvalidField
from conversion_relay.service.durations import read_duration
from conversion_relay.service.store.port import Retention

TIKTOK_API_URL: Final = "https://business-api.tiktok.com"
LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_BESIDE_AN_ADDRESS = re.compile(r"[@?#\\]")
_SQLITE_URL = "sqlite:///"
_SHORTEST_TIME = timedelta(minutes=1)
_LONGEST_TIME = timedelta(days=3650)


class _Settings(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True
    )


def _checked_region(region: str) -> str:
    if region.upper() not in phonenumbers.SUPPORTED_REGIONS:
        message = 'must be a two-letter country code such as "US"'
        raise ValueError(message)
    return region.upper()


def _checked_database_url(url: str) -> str:
    if not url.startswith(_SQLITE_URL) or url == _SQLITE_URL:
        message = "must be sqlite:///relative/path.db or sqlite:////absolute/path.db"
        raise ValueError(message)
    return url


def _plain_text(text: str) -> str:
    if not text.strip() or text != text.strip() or not text.isprintable():
        message = "must be a text without surrounding white space or control characters"
        raise ValueError(message)
    return text


def _checked_path(path: Path) -> Path:
    _plain_text(str(path))
    return path


def _secret_text(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    if not value.strip() or not value.isascii() or not value.isprintable():
        message = "must be a non-empty text of printable ASCII characters"
        raise ValueError(message)
    return secret


def _secret_list(secret: SecretStr) -> SecretStr:
    """Several secrets, with white space or commas between them."""
    for part in secret.get_secret_value().split() or [""]:
        _secret_text(SecretStr(part))
    return secret


def _duration(text: str) -> timedelta:
    found = read_duration(text)
    if found is None:
        message = 'must be a time such as "90s", "30m", "24h" or "7d"'
        raise ValueError(message)
    return found


def _checked_time(text: str) -> str:
    if not _SHORTEST_TIME <= _duration(text) <= _LONGEST_TIME:
        message = (
            f"must be {_SHORTEST_TIME // timedelta(minutes=1)}m at least and "
            f"{_LONGEST_TIME.days}d at most"
        )
        raise ValueError(message)
    return text


def _checked_api_url(url: str) -> str:
    """A base address: where credentials, a query or a fragment would stand, a mistake stands."""
    _plain_text(url)
    if " " in url or not _is_address(url):
        message = f"must be an address like {TIKTOK_API_URL} or http://127.0.0.1:9090"
        raise ValueError(message)
    if _BESIDE_AN_ADDRESS.search(url):
        message = f"must be an address alone, like {TIKTOK_API_URL}: no user, password, ? or #"
        raise ValueError(message)
    return url


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or brackets around no address
        return False


PlainText = Annotated[str, AfterValidator(_plain_text)]
Secret = Annotated[SecretStr, AfterValidator(_secret_text)]
SecretList = Annotated[SecretStr, AfterValidator(_secret_list)]
TimeText = Annotated[str, AfterValidator(_checked_time)]
FilePath = Annotated[Path, AfterValidator(_checked_path)]
ApiUrl = Annotated[str, AfterValidator(_checked_api_url)]
Port = Annotated[int, Field(ge=1, le=65535)]


class ServiceSettings(_Settings):
    """The service itself."""

    host: PlainText = "127.0.0.1"
    port: Port = 8080
    database_url: Annotated[str, AfterValidator(_checked_database_url)] = (
        "sqlite:///relay-data/relay.db"
    )
    admin_token: Secret | None = None
    encryption_key: SecretList | None = None
    retention: TimeText = "7d"
    unmatched_retention: TimeText = "24h"
    dead_letter_retention: TimeText = "30d"
    ledger_retention: TimeText = "14d"
    presets_folder: FilePath | None = None
    max_body_bytes: Annotated[int, Field(ge=1024)] = 32 * 1024 * 1024
    max_event_bytes: Annotated[int, Field(ge=256)] = 64 * 1024
    max_batch_events: Annotated[int, Field(ge=1)] = 4000
    receive_seconds: Annotated[float, Field(gt=0, le=600, allow_inf_nan=False)] = 30.0
    log_format: Literal["auto", "json", "console"] = "auto"

    @field_validator("dead_letter_retention", "ledger_retention")
    @classmethod
    def _outlasts_the_events(cls, text: str, others: ValidationInfo) -> str:
        """Otherwise a copy of a kept event would be a new one, and a dead letter go first."""
        if _duration(text) < _duration(others.data.get("retention", "0s")):
            message = "must not be less than retention (RELAY_RETENTION)"
            raise ValueError(message)
        return text

    @property
    def retentions(self) -> Retention:
        """How long what is kept."""
        return Retention(
            events=_duration(self.retention),
            unmatched=_duration(self.unmatched_retention),
            dead_letters=_duration(self.dead_letter_retention),
            ledger=_duration(self.ledger_retention),
        )

    @property
    def database_path(self) -> Path:
        """Where the embedded database lies."""
        return Path(self.database_url.removeprefix(_SQLITE_URL))


class SourceSettings(_Settings):
    """Who may post events under this source's name.

    Several secrets and tokens are for rotation: each of them is accepted.
    """

    authentication: Literal["required", "none"] = "required"
    signing_secrets: tuple[Secret, ...] = ()
    bearer_tokens: tuple[Secret, ...] = ()

    @model_validator(mode="after")
    def _has_credentials(self) -> Self:
        given = bool(self.signing_secrets or self.bearer_tokens)
        if self.authentication == "required" and not given:
            message = (
                "no credential is set, so anybody could post conversions. Set a signing secret "
                "(SEGMENT_SHARED_SECRET) or a bearer token (RELAY_BEARER_TOKEN), or say "
                'authentication = "none" (RELAY_AUTHENTICATION=none) if that is meant'
            )
            raise ValueError(message)
        if self.authentication == "none" and given:
            message = (
                "credentials are set, which would not be checked, because authentication is "
                '"none" (RELAY_AUTHENTICATION=none): remove the one or the other'
            )
            raise ValueError(message)
        return self


class DestinationSettings(_Settings):
    """One TikTok pixel and what is sent to it."""

    pixel_code: PlainText
    access_token: Secret
    test_event_code: PlainText | None = None
    allow_any_api_host: bool = False
    api_url: ApiUrl = TIKTOK_API_URL
    proxy_url: Secret | None = None
    presets: PlainText = "tiktok-conversions"
    mappings: FilePath | None = None
    on_invalid_field: OnInvalidField = OnInvalidField.OMIT
    default_phone_region: Annotated[str, AfterValidator(_checked_region)] | None = None
    lower_case_external_id: bool = True
    partner_name: PlainText | None = None
    max_requests_in_flight: Annotated[int, Field(ge=1, le=64)] = 4
    retry_horizon: TimeText = "7d"

    @property
    def horizon(self) -> timedelta:
        """How long an event is tried."""
        return _duration(self.retry_horizon)

    @field_validator("proxy_url")
    @classmethod
    def _is_proxy(cls, proxy: SecretStr | None) -> SecretStr | None:
        if proxy is not None and not _is_address(proxy.get_secret_value()):
            message = "must be an address like http://proxy.example:3128"
            raise ValueError(message)
        return proxy

    @field_validator("api_url")
    @classmethod
    def _is_pinned(cls, url: str, others: ValidationInfo) -> str:
        """Access tokens are sent there: to TikTok, to this machine, or where it was allowed."""
        parts = urlsplit(url)
        if parts.hostname in LOOPBACK_HOSTS or url.removesuffix("/") == TIKTOK_API_URL:
            return url
        if not others.data.get("allow_any_api_host"):
            message = (
                f"may be {TIKTOK_API_URL} or a sandbox on this machine; access tokens are sent "
                "there, so another host needs allow_any_api_host = true "
                "(TIKTOK_API_ALLOW_ANY_HOST=true)"
            )
            raise ValueError(message)
        if parts.scheme != "https":
            message = "must begin with https:// there, because access tokens are sent to it"
            raise ValueError(message)
        return url


def _checked_names(value: dict[str, _Settings]) -> dict[str, _Settings]:
    for name in value:
        if not _NAME.fullmatch(name):
            message = f'the name "{name}" may hold letters, digits, "-" and "_" only'
            raise ValueError(message)
    return value


class Configuration(_Settings):
    """Everything that can be configured."""

    service: ServiceSettings = ServiceSettings()
    sources: Annotated[
        dict[str, SourceSettings], Field(min_length=1), AfterValidator(_checked_names)
    ]
    destinations: Annotated[
        dict[str, DestinationSettings], Field(min_length=1), AfterValidator(_checked_names)
    ]
