"""The environment variables of the service: a table, and how their values are read.

Each variable has a twin with `_FILE` behind its name that holds the path of a file with the value,
as containers mount secrets. Knows no TOML and checks no value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conversion_relay.core.values import Json
from conversion_relay.errors import ConfigurationError
from conversion_relay.service.settings import GROUPS
from conversion_relay.service.settings.kinds import VariableText

DEFAULT_SOURCE: Final = "default"
DEFAULT_DESTINATION: Final = "tiktok"
SOURCE: Final = ("sources", DEFAULT_SOURCE)
DESTINATION: Final = ("destinations", DEFAULT_DESTINATION)


def _one(value: str) -> Json:
    return VariableText(value)


def _only(value: str) -> Json:
    return [value]


def _listed(value: str) -> Json:
    return [part.strip() for part in value.split(",") if part.strip()]


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable: its name and the setting it fills.

    Attributes:
        name: of the variable.
        target: the setting, as a path in the configuration.
        said: for people, where it is not what is said of the setting.
        form: gives the setting from the value: that itself, a list with it as its only item, or
            the items that have commas between them.
    """

    name: str
    target: tuple[str, ...]
    said: str = ""
    form: Callable[[str], Json] = _one

    @property
    def meaning(self) -> str:
        """What it is for, for people."""
        return self.said or GROUPS[self.target[0]].model_fields[self.target[-1]].description or ""


VARIABLES: Final = (
    Variable("TIKTOK_ACCESS_TOKEN", (*DESTINATION, "access_token")),
    Variable("TIKTOK_PIXEL_CODE", (*DESTINATION, "pixel_code")),
    Variable("TIKTOK_TEST_EVENT_CODE", (*DESTINATION, "test_event_code")),
    Variable("TIKTOK_CANARY_TEST_EVENT_CODE", (*DESTINATION, "canary_test_event_code")),
    Variable("TIKTOK_API_URL", (*DESTINATION, "api_url")),
    Variable("TIKTOK_API_ALLOW_ANY_HOST", (*DESTINATION, "allow_any_api_host")),
    Variable("TIKTOK_PROXY_URL", (*DESTINATION, "proxy_url")),
    Variable("RELAY_PRESETS", (*DESTINATION, "presets")),
    Variable("RELAY_MAPPINGS", (*DESTINATION, "mappings")),
    Variable("RELAY_ON_INVALID_FIELD", (*DESTINATION, "on_invalid_field")),
    Variable("RELAY_DEFAULT_PHONE_REGION", (*DESTINATION, "default_phone_region")),
    Variable("RELAY_LOWER_CASE_EXTERNAL_ID", (*DESTINATION, "lower_case_external_id")),
    Variable("RELAY_PARTNER_NAME", (*DESTINATION, "partner_name")),
    Variable("RELAY_MAX_REQUESTS_IN_FLIGHT", (*DESTINATION, "max_requests_in_flight")),
    Variable("RELAY_RETRY_HORIZON", (*DESTINATION, "retry_horizon")),
    Variable(
        "SEGMENT_SHARED_SECRET",
        (*SOURCE, "signing_secrets"),
        said="the secret Segment signs with (X-Signature)",
        form=_only,
    ),
    Variable(
        "RELAY_BEARER_TOKEN",
        (*SOURCE, "bearer_tokens"),
        said="the token in the Authorization header, needed for batches",
        form=_only,
    ),
    Variable(
        "SEGMENT_WRITE_KEY",
        (*SOURCE, "write_keys"),
        said="the write key of Segment's libraries that send to `/v1/…` here",
        form=_only,
    ),
    Variable("RELAY_AUTHENTICATION", (*SOURCE, "authentication")),
    Variable("RELAY_DATABASE_URL", ("service", "database_url")),
    Variable("RELAY_DATABASE_PASSWORD", ("service", "database_password")),
    Variable("RELAY_DATABASE_CONNECTIONS", ("service", "database_connections")),
    Variable("RELAY_DATABASE_POOLER", ("service", "database_pooler")),
    Variable("RELAY_WEAK_DURABILITY", ("service", "weak_durability")),
    Variable("RELAY_NODE_NAME", ("service", "node_name")),
    Variable("RELAY_SPOOL", ("service", "spool")),
    Variable("RELAY_SPOOL_BYTES", ("service", "spool_bytes")),
    Variable("RELAY_ADMIN_TOKEN", ("service", "admin_token")),
    Variable("RELAY_READ_TOKEN", ("service", "read_tokens"), form=_only),
    Variable("RELAY_ENCRYPTION_KEY", ("service", "encryption_key")),
    Variable("RELAY_RETENTION", ("service", "retention")),
    Variable("RELAY_UNMATCHED_RETENTION", ("service", "unmatched_retention")),
    Variable("RELAY_DEAD_LETTER_RETENTION", ("service", "dead_letter_retention")),
    Variable("RELAY_LEDGER_RETENTION", ("service", "ledger_retention")),
    Variable("RELAY_PRESETS_FOLDER", ("service", "presets_folder")),
    Variable("RELAY_HOST", ("service", "host")),
    Variable("RELAY_PORT", ("service", "port")),
    Variable("RELAY_MAX_BODY_BYTES", ("service", "max_body_bytes")),
    Variable("RELAY_MAX_EVENT_BYTES", ("service", "max_event_bytes")),
    Variable("RELAY_MAX_BATCH_EVENTS", ("service", "max_batch_events")),
    Variable("RELAY_MAX_TRACKING_BODY_BYTES", ("service", "max_tracking_body_bytes")),
    Variable("RELAY_MAX_TRACKING_EVENT_BYTES", ("service", "max_tracking_event_bytes")),
    Variable("RELAY_MAX_NESTING", ("service", "max_nesting")),
    Variable("RELAY_MAX_RECEIVING_BYTES", ("service", "max_receiving_bytes")),
    Variable("RELAY_MAX_REQUESTS", ("service", "max_requests")),
    Variable("RELAY_MAX_HEADER_BYTES", ("service", "max_header_bytes")),
    Variable("RELAY_RECEIVE_SECONDS", ("service", "receive_seconds")),
    Variable("RELAY_MAX_CONNECTIONS", ("service", "max_connections")),
    Variable(
        "RELAY_TRUSTED_PROXIES",
        ("service", "trusted_proxies"),
        said="networks of proxies whose X-Forwarded-For is believed, with commas between them",
        form=_listed,
    ),
    Variable(
        "RELAY_CORS_ORIGINS",
        ("service", "cors_origins"),
        said="sites whose pages may post to `/v1/…`, with commas between them; `*` is every site",
        form=_listed,
    ),
    Variable("RELAY_VERIFY_CHANGES", ("service", "verify_changes")),
    Variable("RELAY_WATCH_CHANGES", ("service", "watch_changes")),
    Variable("RELAY_TRIAL_EVENTS", ("service", "trial_events")),
    Variable("RELAY_TRACING", ("service", "tracing")),
    Variable("RELAY_LOG_FORMAT", ("service", "log_format")),
    Variable("RELAY_ALERT_SLACK_URL", ("alerts", "slack_urls"), form=_only),
    Variable("RELAY_ALERT_WEBHOOK_URL", ("alerts", "webhook_urls"), form=_only),
    Variable("RELAY_ALERT_WEBHOOK_SECRET", ("alerts", "webhook_secret")),
    Variable("RELAY_SMTP_URL", ("alerts", "smtp_url")),
    Variable("RELAY_ALERT_EMAIL_FROM", ("alerts", "email_from")),
    Variable("RELAY_ALERT_EMAIL_TO", ("alerts", "email_to"), form=_listed),
    Variable("RELAY_ALERT_ALLOW_PRIVATE_ADDRESSES", ("alerts", "allow_private_addresses")),
    Variable("RELAY_ALERT_REPEAT", ("alerts", "repeat")),
    Variable("RELAY_ALERT_BACKLOG_AGE", ("alerts", "backlog_age")),
    Variable("RELAY_ALERT_SILENCE", ("alerts", "silence")),
    Variable("RELAY_ALERT_DISK_USED", ("alerts", "disk_used")),
    Variable("RELAY_CANARY", ("canary", "enabled")),
    Variable("RELAY_CANARY_INTERVAL", ("canary", "interval")),
)
_LONGEST_SECRET: Final = 64 * 1024
CONFIG_VARIABLE: Final = Variable("RELAY_CONFIG", (), "a TOML file of sources and destinations")


def value_of(name: str, environment: Mapping[str, str]) -> str | None:
    """The variable's value, from itself or from the file that NAME_FILE names; empty is unset.

    Raises:
        ConfigurationError: both are set, or the file cannot be read.
    """
    value = environment.get(name) or None
    file = environment.get(f"{name}_FILE") or None
    if value is not None and file is not None:
        raise ConfigurationError(f"both {name} and {name}_FILE are set; keep one of them")
    if file is None:
        return value
    try:
        return secret_in(Path(file))
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}_FILE: {error}") from error


def secret_in(path: Path) -> str:
    """The content of a file that holds a secret, without surrounding white space.

    Raises:
        ConfigurationError: saying why it cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST_SECRET + 1)
        text = content.decode("utf-8-sig").strip()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} cannot be read: it is not UTF-8") from error
    except ValueError as error:  # of a path with a zero byte
        raise ConfigurationError("this is no path of a file") from error
    if len(content) > _LONGEST_SECRET:
        raise ConfigurationError(f"{path} has more than {_LONGEST_SECRET} bytes: it is no secret")
    return text
