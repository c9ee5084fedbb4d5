"""The settings of a source: who may post events under its name, and what is done with them."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from conversion_relay.service.settings.kinds import (
    Count,
    PlainText,
    Secret,
    Settings,
    TimeText,
    Truth,
    duration_of,
)

OF_THE_WHOLE: Final = "of_the_whole"
"""The type of a problem that is none of the setting at which it is found, but of its table."""
NO_CREDENTIAL: Final = (
    "no credential is set, so anybody could post conversions. Set a signing secret "
    "(SEGMENT_SHARED_SECRET), a bearer token (RELAY_BEARER_TOKEN) or a write key "
    '(SEGMENT_WRITE_KEY), or say authentication = "none" (RELAY_AUTHENTICATION=none) if that is '
    "meant"
)
UNCHECKED_CREDENTIALS: Final = (
    "credentials are set, which would not be checked, because authentication is "
    '"none" (RELAY_AUTHENTICATION=none): remove the one or the other'
)


class SourceSettings(Settings):
    """Who may post events under this source's name.

    Several secrets, tokens and keys are for rotation: each of them is accepted. Secrets and tokens
    are for the webhook, write keys for the Tracking API.
    """

    signing_secrets: tuple[Secret, ...] = Field(
        default=(), description="the secrets Segment signs with (X-Signature); each is accepted"
    )
    bearer_tokens: tuple[Secret, ...] = Field(
        default=(),
        description="the tokens in the Authorization header, needed for batches; each is accepted",
    )
    write_keys: tuple[Secret, ...] = Field(
        default=(),
        description="the write keys of Segment's libraries that send to `/v1/…`; each is accepted",
    )
    destinations: tuple[PlainText, ...] | None = Field(
        default=None, description="the destinations its events go to, by name; left out: all"
    )
    rate_limit: Count | None = Field(
        default=None, description="most events a second; left out: any number"
    )
    visitor_ip: Literal["event", "connection"] = Field(
        default="event",
        description="`connection`: an event to `/v1/…` without an ip gets that of its connection",
    )
    match_keys: Truth = Field(
        default=False,
        description="remember a user's hashed match keys, and fill in later events that lack them",
    )
    match_keys_retention: TimeText = Field(
        default="30d", description="how long match keys are remembered"
    )
    authentication: Literal["required", "none"] = Field(
        default="required", description="`none` lets anybody post events"
    )

    @property
    def remembers_for(self) -> timedelta | None:
        """How long match keys are remembered; None when they are not."""
        return duration_of(self.match_keys_retention) if self.match_keys else None

    @field_validator("authentication")
    @classmethod
    def _has_credentials(cls, authentication: str, others: ValidationInfo) -> str:
        """The last of the fields, so that it is judged whatever else is wrong."""
        kinds = [others.data.get(kind) for kind in ("signing_secrets", "bearer_tokens")]
        given = any(kinds) or others.data.get("write_keys")
        if None in (*kinds, others.data.get("write_keys")):  # wrong itself, and said to be
            return authentication
        if authentication == "required" and not given:
            raise PydanticCustomError(OF_THE_WHOLE, NO_CREDENTIAL)
        if authentication == "none" and any(kinds):
            raise PydanticCustomError(OF_THE_WHOLE, UNCHECKED_CREDENTIALS)
        return authentication
