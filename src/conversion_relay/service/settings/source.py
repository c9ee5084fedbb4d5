"""The settings of a source: who may post events under its name, and what is done with them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from conversion_relay.service.settings.kinds import (
    PlainText,
    Secret,
    Settings,
    TimeText,
    duration_of,
)


class SourceSettings(Settings):
    """Who may post events under this source's name.

    Several secrets, tokens and keys are for rotation: each of them is accepted. Secrets and tokens
    are for the webhook, write keys for the Tracking API.
    """

    authentication: Literal["required", "none"] = "required"
    signing_secrets: tuple[Secret, ...] = ()
    bearer_tokens: tuple[Secret, ...] = ()
    write_keys: tuple[Secret, ...] = ()
    destinations: tuple[PlainText, ...] | None = None
    rate_limit: Annotated[int, Field(ge=1)] | None = None
    visitor_ip: Literal["event", "connection"] = "event"
    match_keys: bool = False
    match_keys_retention: TimeText = "30d"

    @property
    def remembers_for(self) -> timedelta | None:
        """How long match keys are remembered; None when they are not."""
        return duration_of(self.match_keys_retention) if self.match_keys else None

    @model_validator(mode="after")
    def _has_credentials(self) -> Self:
        given = bool(self.signing_secrets or self.bearer_tokens or self.write_keys)
        if self.authentication == "required" and not given:
            message = (
                "no credential is set, so anybody could post conversions. Set a signing secret "
                "(SEGMENT_SHARED_SECRET), a bearer token (RELAY_BEARER_TOKEN) or a write key "
                '(SEGMENT_WRITE_KEY), or say authentication = "none" (RELAY_AUTHENTICATION=none) '
                "if that is meant"
            )
            raise ValueError(message)
        if self.authentication == "none" and (self.signing_secrets or self.bearer_tokens):
            message = (
                "credentials are set, which would not be checked, because authentication is "
                '"none" (RELAY_AUTHENTICATION=none): remove the one or the other'
            )
            raise ValueError(message)
        return self
