"""The settings of a destination: one TikTok pixel, and what is shared with it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal
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
    duration_of,
    is_address,
)


class SharingSettings(Settings):
    """What of an event is shared with the partner; as nothing is set, all that is mapped.

    Fields are named as they stand in the request, such as `user.email` or `page.referrer`.
    """

    leave_out: tuple[PlainText, ...] = ()
    hash: tuple[PlainText, ...] = ()
    strip_url_parameters: tuple[PlainText, ...] = ()
    truncate_ip: bool = False
    limited_data_use: Literal["as_mapped", "always", "by_region"] = "as_mapped"
    limited_data_use_regions: tuple[PlainText, ...] = ()
    limited_data_use_when_unknown: bool = True


class DestinationSettings(Settings):
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
    default_phone_region: PhoneRegion | None = None
    lower_case_external_id: bool = True
    partner_name: PlainText | None = None
    max_requests_in_flight: Annotated[int, Field(ge=1, le=64)] = 4
    retry_horizon: TimeText = "7d"
    consent_categories: tuple[PlainText, ...] = ()
    consent_when_missing: Literal["suppress", "send"] = "suppress"
    sharing: SharingSettings = SharingSettings()

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
