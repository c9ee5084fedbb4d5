"""The settings of alerts and of the canary: who is told, and how the flow is tried."""

from __future__ import annotations

from base64 import b64decode
from datetime import timedelta

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from conversion_relay.service.settings.kinds import (
    PLACEHOLDER,
    Decimal,
    PlainText,
    Secret,
    Settings,
    ShortTime,
    Truth,
    duration_of,
    is_address,
)


class AlertSettings(Settings):
    """Who is told when the flow is broken, and from when on it is."""

    slack_urls: tuple[Secret, ...] = Field(
        default=(), description="Slack-compatible webhooks (Slack, Mattermost, Discord's /slack)"
    )
    webhook_urls: tuple[Secret, ...] = Field(
        default=(), description="webhooks that get alerts as JSON"
    )
    webhook_secret: Secret | None = Field(
        default=None, description="signs what is sent to the JSON webhooks (Standard Webhooks)"
    )
    smtp_url: Secret | None = Field(
        default=None, description="the mail server: smtp://user:password@host:587, or smtps://…"
    )
    email_from: PlainText | None = Field(default=None, description="sender of alerts by e-mail")
    email_to: tuple[PlainText, ...] = Field(
        default=(), description="who gets alerts by e-mail, with commas between them"
    )
    allow_private_addresses: Truth = Field(
        default=False, description="allow alert webhooks and mail servers in private networks"
    )
    repeat: ShortTime = Field(
        default="4h", description="how often an alert that stays open is repeated"
    )
    backlog_age: ShortTime = Field(
        default="10m", description="an event waits longer than this: alert"
    )
    silence: Truth = Field(
        default=True, description="alert when a source that used to send is quiet"
    )
    disk_used: Decimal = Field(
        default=0.9, description="share of the disk in use from which on to alert", gt=0, le=1
    )

    @property
    def repeat_after(self) -> timedelta:
        """How often an open alert is repeated."""
        return duration_of(self.repeat)

    @property
    def oldest_backlog(self) -> timedelta:
        """How long an event may wait."""
        return duration_of(self.backlog_age)

    @field_validator("slack_urls", "webhook_urls")
    @classmethod
    def _are_addresses(cls, urls: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not all(is_address(url.get_secret_value()) for url in urls):
            message = "must be addresses like https://hooks.example/services/…"
            raise ValueError(message)
        return urls

    @field_validator("webhook_secret")
    @classmethod
    def _is_signing_key(cls, secret: SecretStr | None) -> SecretStr | None:
        text = "" if secret is None else secret.get_secret_value()
        try:
            b64decode(
                text.removeprefix("whsec_") if text.startswith("whsec_") else "", validate=True
            )
        except ValueError:
            message = "must have Base64 after whsec_, or be a text that does not begin so"
            raise ValueError(message) from None
        return secret

    @field_validator("smtp_url")
    @classmethod
    def _is_mail_server(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not _is_mail_address(url.get_secret_value()):
            message = "must be like smtp://user:password@mail.example:587 or smtps://mail.example"
            raise ValueError(message)
        return url

    @field_validator("email_to")
    @classmethod
    def _has_server_and_sender(
        cls, receivers: tuple[str, ...], others: ValidationInfo
    ) -> tuple[str, ...]:
        wanted = ("smtp_url", "email_from")
        missing = [key for key in wanted if others.data.get(key, "wrong, and said to be") is None]
        if receivers and missing:
            message = f"needs {' and '.join(missing)} too"
            raise ValueError(message)
        return receivers


def _is_mail_address(url: str) -> bool:
    scheme, _, rest = url.partition("://")
    return url == PLACEHOLDER or (scheme in {"smtp", "smtps"} and is_address(f"http://{rest}"))


class CanarySettings(Settings):
    """The canary: a test event that regularly goes the whole way."""

    enabled: Truth = Field(default=True, description="send a test event through the service")
    interval: ShortTime = Field(default="1m", description="how often the canary goes")

    @property
    def every(self) -> timedelta:
        """How often it goes."""
        return duration_of(self.interval)
