"""The environment variables of the service: a table, and how their values are read.

Each variable has a twin with `_FILE` behind its name that holds the path of a file with the value,
as containers mount secrets. Knows no TOML and checks no value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conversion_relay.core.values import Json
from conversion_relay.errors import ConfigurationError

DEFAULT_SOURCE: Final = "default"
DEFAULT_DESTINATION: Final = "tiktok"
SOURCE: Final = ("sources", DEFAULT_SOURCE)
DESTINATION: Final = ("destinations", DEFAULT_DESTINATION)


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable: its name, the setting it fills, and what it is for.

    Attributes:
        name: of the variable.
        target: the setting, as a path in the configuration.
        meaning: for people.
        many: the setting is a list and this is its only item.
        listed: the setting is a list, here with commas between its items.
    """

    name: str
    target: tuple[str, ...]
    meaning: str
    many: bool = False
    listed: bool = False

    def content(self, value: str) -> Json:
        """The setting's value, from the variable's."""
        if self.listed:
            return [part.strip() for part in value.split(",") if part.strip()]
        return [value] if self.many else value


VARIABLES: Final = (
    Variable("TIKTOK_ACCESS_TOKEN", (*DESTINATION, "access_token"), "TikTok's access token"),
    Variable("TIKTOK_PIXEL_CODE", (*DESTINATION, "pixel_code"), "the pixel that gets the events"),
    Variable(
        "TIKTOK_TEST_EVENT_CODE",
        (*DESTINATION, "test_event_code"),
        "send everything as test events with this code",
    ),
    Variable("TIKTOK_API_URL", (*DESTINATION, "api_url"), "another API, such as the sandbox"),
    Variable(
        "TIKTOK_API_ALLOW_ANY_HOST",
        (*DESTINATION, "allow_any_api_host"),
        "allow an API host that is neither TikTok's nor this machine",
    ),
    Variable(
        "TIKTOK_PROXY_URL", (*DESTINATION, "proxy_url"), "an HTTP proxy on the way to TikTok"
    ),
    Variable("RELAY_PRESETS", (*DESTINATION, "presets"), "the preset file, by name"),
    Variable(
        "RELAY_MAPPINGS", (*DESTINATION, "mappings"), "a file of mappings instead of presets"
    ),
    Variable(
        "RELAY_ON_INVALID_FIELD",
        (*DESTINATION, "on_invalid_field"),
        "`omit` an invalid optional field, or `reject` the event as Segment does",
    ),
    Variable(
        "RELAY_DEFAULT_PHONE_REGION",
        (*DESTINATION, "default_phone_region"),
        "country of phone numbers without a country code, such as US",
    ),
    Variable(
        "RELAY_LOWER_CASE_EXTERNAL_ID",
        (*DESTINATION, "lower_case_external_id"),
        "lower-case user ids before hashing, as Segment does",
    ),
    Variable(
        "RELAY_PARTNER_NAME", (*DESTINATION, "partner_name"), "`partner_name` sent to TikTok"
    ),
    Variable(
        "RELAY_MAX_REQUESTS_IN_FLIGHT",
        (*DESTINATION, "max_requests_in_flight"),
        "requests to TikTok at the same time",
    ),
    Variable(
        "RELAY_RETRY_HORIZON",
        (*DESTINATION, "retry_horizon"),
        "how long an event is tried before it is a dead letter",
    ),
    Variable(
        "SEGMENT_SHARED_SECRET",
        (*SOURCE, "signing_secrets"),
        "the secret Segment signs with (X-Signature)",
        many=True,
    ),
    Variable(
        "RELAY_BEARER_TOKEN",
        (*SOURCE, "bearer_tokens"),
        "the token in the Authorization header, needed for batches",
        many=True,
    ),
    Variable(
        "SEGMENT_WRITE_KEY",
        (*SOURCE, "write_keys"),
        "the write key of Segment's libraries that send to `/v1/…` here",
        many=True,
    ),
    Variable(
        "RELAY_AUTHENTICATION", (*SOURCE, "authentication"), "`none` lets anybody post events"
    ),
    Variable(
        "RELAY_DATABASE_URL", ("service", "database_url"), "where events are kept: `sqlite:///…`"
    ),
    Variable("RELAY_ADMIN_TOKEN", ("service", "admin_token"), "opens the admin paths"),
    Variable(
        "RELAY_ENCRYPTION_KEY",
        ("service", "encryption_key"),
        "base64 of 32 bytes; without it a key file is made beside the database",
    ),
    Variable("RELAY_RETENTION", ("service", "retention"), "how long a finished event is kept"),
    Variable(
        "RELAY_UNMATCHED_RETENTION",
        ("service", "unmatched_retention"),
        "how long an event that no trigger matched is kept",
    ),
    Variable(
        "RELAY_DEAD_LETTER_RETENTION",
        ("service", "dead_letter_retention"),
        "how long an event that could not be delivered is kept",
    ),
    Variable(
        "RELAY_LEDGER_RETENTION",
        ("service", "ledger_retention"),
        "how long a messageId is recognised, at least",
    ),
    Variable(
        "RELAY_PRESETS_FOLDER", ("service", "presets_folder"), "a folder of own preset files"
    ),
    Variable("RELAY_HOST", ("service", "host"), "address to listen on"),
    Variable("RELAY_PORT", ("service", "port"), "port to listen on"),
    Variable("RELAY_MAX_BODY_BYTES", ("service", "max_body_bytes"), "largest request, bytes"),
    Variable("RELAY_MAX_EVENT_BYTES", ("service", "max_event_bytes"), "largest event, bytes"),
    Variable(
        "RELAY_MAX_BATCH_EVENTS", ("service", "max_batch_events"), "most events in a request"
    ),
    Variable(
        "RELAY_RECEIVE_SECONDS", ("service", "receive_seconds"), "time to receive a request, s"
    ),
    Variable(
        "RELAY_MAX_CONNECTIONS", ("service", "max_connections"), "most connections at a time"
    ),
    Variable(
        "RELAY_TRUSTED_PROXIES",
        ("service", "trusted_proxies"),
        "networks of proxies whose X-Forwarded-For is believed, with commas between them",
        listed=True,
    ),
    Variable(
        "RELAY_CORS_ORIGINS",
        ("service", "cors_origins"),
        "sites whose pages may post to `/v1/…`, with commas between them",
        listed=True,
    ),
    Variable("RELAY_LOG_FORMAT", ("service", "log_format"), "`json`, `console` or `auto`"),
)
CONFIG_VARIABLE: Final = Variable("RELAY_CONFIG", (), "a TOML file of sources and destinations")


def value_of(name: str, environment: Mapping[str, str]) -> str | None:
    """The variable's value, from itself or from the file that NAME_FILE names; empty is unset."""
    value = environment.get(name) or None
    file = environment.get(f"{name}_FILE") or None
    if value is not None and file is not None:
        raise ConfigurationError(f"both {name} and {name}_FILE are set; keep one of them")
    if file is None:
        return value
    return read_secret_file(Path(file), f"{name}_FILE")


def read_secret_file(path: Path, where: str) -> str:
    """The content of a file that holds a secret, without surrounding white space.

    Raises:
        ConfigurationError: naming `where` the path comes from.
    """
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(f"{where}: {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{where}: {path} cannot be read: it is not UTF-8") from error
    except ValueError as error:  # of a path with a zero byte
        raise ConfigurationError(f"{where}: this is no path of a file") from error
