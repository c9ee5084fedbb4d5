"""The settings of the service itself. Knows no source and no destination."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from conversion_relay.service.settings.kinds import (
    ANY_ORIGIN,
    SQLITE_URL,
    DatabaseUrl,
    FilePath,
    Network,
    Origin,
    PlainText,
    Port,
    Secret,
    SecretList,
    Settings,
    TimeText,
    duration_of,
)
from conversion_relay.service.store.port import Retention


class ServiceSettings(Settings):
    """The service itself."""

    host: PlainText = "127.0.0.1"
    port: Port = 8080
    database_url: DatabaseUrl = "sqlite:///relay-data/relay.db"
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
    max_tracking_body_bytes: Annotated[int, Field(ge=1024)] = 500 * 1024
    max_tracking_event_bytes: Annotated[int, Field(ge=256)] = 32 * 1024
    max_nesting: Annotated[int, Field(ge=8, le=200)] = 64
    max_receiving_bytes: Annotated[int, Field(ge=1024 * 1024)] = 96 * 1024 * 1024
    max_requests: Annotated[int, Field(ge=1)] = 512
    max_connections: Annotated[int, Field(ge=8)] = 4096
    max_header_bytes: Annotated[int, Field(ge=1024, le=1024 * 1024)] = 32 * 1024
    receive_seconds: Annotated[float, Field(gt=0, le=600, allow_inf_nan=False)] = 30.0
    trusted_proxies: tuple[Network, ...] = ()
    cors_origins: tuple[Origin, ...] = (ANY_ORIGIN,)
    log_format: Literal["auto", "json", "console"] = "auto"

    @field_validator("dead_letter_retention", "ledger_retention")
    @classmethod
    def _outlasts_the_events(cls, text: str, others: ValidationInfo) -> str:
        """Otherwise a copy of a kept event would be a new one, and a dead letter go first."""
        if duration_of(text) < duration_of(others.data.get("retention", "0s")):
            message = "must not be less than retention (RELAY_RETENTION)"
            raise ValueError(message)
        return text

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
    def database_path(self) -> Path:
        """Where the embedded database lies."""
        return Path(self.database_url.removeprefix(SQLITE_URL))
