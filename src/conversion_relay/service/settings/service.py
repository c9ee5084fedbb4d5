"""The settings of the service itself. Knows no source and no destination."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from conversion_relay.service.settings.database import SQLITE_URL, is_postgresql
from conversion_relay.service.settings.kinds import (
    ANY_ORIGIN,
    DatabaseUrl,
    Decimal,
    FilePath,
    Network,
    NodeName,
    Origin,
    PlainText,
    Port,
    Secret,
    SecretList,
    Settings,
    TimeText,
    Truth,
    Whole,
    duration_of,
)
from conversion_relay.service.store.port import Retention


class ServiceSettings(Settings):
    """The service itself."""

    host: PlainText = Field(default="127.0.0.1", description="address to listen on")
    port: Port = Field(default=8080, description="port to listen on")
    database_url: DatabaseUrl = Field(
        default="sqlite:///relay-data/relay.db",
        description="where events are kept: `sqlite:///…` or `postgresql://…`",
    )
    database_password: Secret | None = Field(
        default=None, description="of the user in `postgresql://user@host/database`"
    )
    database_connections: Whole = Field(
        default=10, description="most connections of a node to PostgreSQL", ge=2, le=1000
    )
    database_pooler: Truth = Field(
        default=False,
        description="PostgreSQL is reached through PgBouncer in transaction mode, or its like",
    )
    weak_durability: Truth = Field(
        default=False,
        description="accept a PostgreSQL that may forget acknowledged events in a crash",
    )
    node_name: NodeName | None = Field(
        default=None,
        description="what this node is called among several; without it its host's name, "
        "its process's number and something random",
    )
    spool: FilePath | None = Field(
        default=None,
        description="a file on this machine's disk that takes events while PostgreSQL does not",
    )
    spool_bytes: Whole = Field(
        default=1024 * 1024 * 1024, description="most bytes in it", ge=1024 * 1024
    )
    admin_token: Secret | None = Field(default=None, description="opens the admin paths")
    read_tokens: tuple[Secret, ...] = Field(
        default=(), description="open the admin paths for reading only, without personal data"
    )
    encryption_key: SecretList | None = Field(
        default=None,
        description="base64 of 32 bytes; PostgreSQL needs it; without it a key file is made "
        "beside an embedded database",
    )
    retention: TimeText = Field(default="7d", description="how long a finished event is kept")
    unmatched_retention: TimeText = Field(
        default="24h", description="how long an event that no trigger matched is kept"
    )
    dead_letter_retention: TimeText = Field(
        default="30d", description="how long an event that could not be delivered is kept"
    )
    ledger_retention: TimeText = Field(
        default="14d", description="how long a messageId is recognised, at least"
    )
    presets_folder: FilePath | None = Field(
        default=None, description="a folder of own preset files"
    )
    max_body_bytes: Whole = Field(
        default=32 * 1024 * 1024, description="largest request of a webhook, bytes", ge=1024
    )
    max_event_bytes: Whole = Field(
        default=64 * 1024, description="largest event of a webhook, bytes", ge=256
    )
    max_batch_events: Whole = Field(default=4000, description="most events in a request", ge=1)
    max_tracking_body_bytes: Whole = Field(
        default=500 * 1024, description="largest request to `/v1/…`, bytes", ge=1024
    )
    max_tracking_event_bytes: Whole = Field(
        default=32 * 1024, description="largest event to `/v1/…`, bytes", ge=256
    )
    max_nesting: Whole = Field(
        default=64, description="how deeply an event may nest", ge=8, le=200
    )
    max_receiving_bytes: Whole = Field(
        default=96 * 1024 * 1024,
        description="most memory for requests that are being received, bytes",
        ge=1024 * 1024,
    )
    max_requests: Whole = Field(
        default=512, description="most requests being answered at a time", ge=1
    )
    max_connections: Whole = Field(default=4096, description="most connections at a time", ge=8)
    max_header_bytes: Whole = Field(
        default=16 * 1024, description="largest head of a request, bytes", ge=1024, le=1024 * 1024
    )
    receive_seconds: Decimal = Field(
        default=30.0, description="time to receive a request, s", gt=0, le=600, allow_inf_nan=False
    )
    trusted_proxies: tuple[Network, ...] = Field(
        default=(), description="networks of proxies whose X-Forwarded-For is believed"
    )
    cors_origins: tuple[Origin, ...] = Field(
        default=(ANY_ORIGIN,),
        description="sites whose pages may post to `/v1/…`; `*` is every site",
    )
    verify_changes: Truth = Field(
        default=True, description="ask TikTok before a changed destination takes effect"
    )
    watch_changes: Truth = Field(
        default=True, description="take over changed files of the configuration by themselves"
    )
    trial_events: Whole = Field(
        default=1000,
        description="so many events kept last are tried with a changed configuration",
        ge=0,
        le=100_000,
    )
    tracing: Truth = Field(
        default=False, description="send traces with OpenTelemetry (needs the extra `otel`)"
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`json`, `console` or `auto`"
    )

    @field_validator("max_receiving_bytes")
    @classmethod
    def _holds_a_request(cls, size: int, others: ValidationInfo) -> int:
        """Otherwise the largest request would be told to come again, every time."""
        least = -(-others.data.get("max_body_bytes", 0) * 8 // 7)
        if size < least:
            message = (
                f"must be at least {least}, because a request may have max_body_bytes "
                "(RELAY_MAX_BODY_BYTES), and an eighth is kept for small ones"
            )
            raise ValueError(message)
        return size

    @field_validator("dead_letter_retention", "ledger_retention")
    @classmethod
    def _outlasts_the_events(cls, text: str, others: ValidationInfo) -> str:
        """Otherwise a copy of a kept event would be a new one, and a dead letter go first."""
        if duration_of(text) < duration_of(others.data.get("retention", "0s")):
            message = "must not be less than retention (RELAY_RETENTION)"
            raise ValueError(message)
        return text

    @field_validator("encryption_key")
    @classmethod
    def _is_shared(cls, key: SecretStr | None, others: ValidationInfo) -> SecretStr | None:
        """There is no place beside a server for a key file, and every node needs the same."""
        if key is None and is_postgresql(others.data.get("database_url", "")):
            message = (
                "is needed with postgresql://, the same on every node (RELAY_ENCRYPTION_KEY): "
                "make one with `openssl rand -base64 32`"
            )
            raise ValueError(message)
        return key

    @field_validator("spool")
    @classmethod
    def _stands_in(cls, spool: Path | None, others: ValidationInfo) -> Path | None:
        """An embedded database fails with the very disk on which a spool would be."""
        url = others.data.get("database_url", "")
        if spool is not None and url and not is_postgresql(url):
            message = "needs postgresql://: with sqlite:// events are kept on this disk already"
            raise ValueError(message)
        return spool

    @property
    def retentions(self) -> Retention:
        """How long what is kept."""
        return Retention(
            events=duration_of(self.retention),
            unmatched=duration_of(self.unmatched_retention),
            dead_letters=duration_of(self.dead_letter_retention),
            ledger=duration_of(self.ledger_retention),
        )

    @property
    def database_path(self) -> Path | None:
        """Where the embedded database lies; None: it is no file of ours."""
        if is_postgresql(self.database_url):
            return None
        return Path(self.database_url.removeprefix(SQLITE_URL))
