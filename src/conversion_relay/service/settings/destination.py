"""The settings of a destination: one TikTok pixel, and what is shared with it."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from conversion_relay.core.plan import OnInvalidField
from conversion_relay.service.settings.kinds import (
    LOOPBACK_HOSTS,
    TIKTOK_API_URL,
    ApiUrl,
    FilePath,
    PhoneRegion,
    PlainText,
    Secret,
    Settings,
    TimeText,
    Truth,
    Whole,
    duration_of,
    is_address,
)


class SharingSettings(Settings):
    """What of an event is shared with the partner; as nothing is set, all that is mapped.

    Fields are named as they stand in the request, such as `user.email` or `page.referrer`.
    """

    leave_out: tuple[PlainText, ...] = Field(default=(), description="fields that are not sent")
    hash: tuple[PlainText, ...] = Field(
        default=(), description="fields that are sent as SHA-256 only"
    )
    strip_url_parameters: tuple[PlainText, ...] = Field(
        default=(),
        description="query parameters that are taken out of every address",
    )
    truncate_ip: Truth = Field(default=False, description="cut the last part off the visitor's ip")
    limited_data_use: Literal["as_mapped", "always", "by_region"] = Field(
        default="as_mapped",
        description="when TikTok's limited data use is set: `as_mapped`, `always`, or `by_region`",
    )
    limited_data_use_regions: tuple[PlainText, ...] = Field(
        default=(), description="the regions of `by_region`, such as US-CA"
    )
    limited_data_use_when_unknown: Truth = Field(
        default=True, description="with `by_region`, set it where the region is not known"
    )


class DestinationSettings(Settings):
    """One TikTok pixel and what is sent to it."""

    pixel_code: PlainText = Field(description="the pixel that gets the events")
    access_token: Secret = Field(description="TikTok's access token")
    test_event_code: PlainText | None = Field(
        default=None, description="send everything as test events with this code"
    )
    canary_test_event_code: PlainText | None = Field(
        default=None,
        description="test event code of the canary and of checks alone; left out: no event of "
        "theirs is sent to TikTok",
    )
    allow_any_api_host: Truth = Field(
        default=False, description="allow an API host that is neither TikTok's nor this machine"
    )
    api_url: ApiUrl = Field(default=TIKTOK_API_URL, description="another API, such as the sandbox")
    proxy_url: Secret | None = Field(
        default=None, description="an HTTP proxy on the way to TikTok"
    )
    presets: PlainText = Field(
        default="tiktok-conversions", description="the preset file, by name"
    )
    mappings: FilePath | None = Field(
        default=None, description="a file of mappings instead of presets"
    )
    on_invalid_field: OnInvalidField = Field(
        default=OnInvalidField.OMIT,
        description="`omit` an invalid optional field, or `reject` the event as Segment does",
    )
    default_phone_region: PhoneRegion | None = Field(
        default=None, description="country of phone numbers without a country code, such as US"
    )
    lower_case_external_id: Truth = Field(
        default=True, description="lower-case user ids before hashing, as Segment does"
    )
    partner_name: PlainText | None = Field(
        default=None, description="`partner_name` sent to TikTok"
    )
    max_requests_in_flight: Whole = Field(
        default=4, description="requests to TikTok at the same time", ge=1, le=64
    )
    retry_horizon: TimeText = Field(
        default="7d", description="how long an event is tried before it is a dead letter"
    )
    consent_categories: tuple[PlainText, ...] = Field(
        default=(),
        description="categories that must all be consented to before an event is sent",
    )
    consent_when_missing: Literal["suppress", "send"] = Field(
        default="suppress",
        description="what to do with an event that says nothing of consent: `suppress` or `send`",
    )
    sharing: SharingSettings = Field(
        default=SharingSettings(), description="what of an event is shared"
    )

    @property
    def own_test_event_code(self) -> str | None:
        """With which the service's own test events are sent; None: they are not."""
        return self.canary_test_event_code or self.test_event_code

    @property
    def horizon(self) -> timedelta:
        """How long an event is tried."""
        return duration_of(self.retry_horizon)

    @field_validator("proxy_url")
    @classmethod
    def _is_proxy(cls, proxy: SecretStr | None) -> SecretStr | None:
        if proxy is not None and not is_address(proxy.get_secret_value()):
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
