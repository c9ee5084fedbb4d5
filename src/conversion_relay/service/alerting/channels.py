"""The configured channels. Knows every kind of channel; sends nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from pydantic import SecretStr

from conversion_relay.service.alerting.channel import Channel
from conversion_relay.service.alerting.guard import Guard
from conversion_relay.service.alerting.mail import Mail
from conversion_relay.service.alerting.slack import Slack
from conversion_relay.service.alerting.webhook import JsonWebhook
from conversion_relay.service.settings import AlertSettings


def channels_of(
    settings: AlertSettings, clock: Callable[[], datetime], guard: Guard | None = None
) -> tuple[Channel, ...]:
    """Every channel that is configured.

    Args:
        settings: of alerts.
        clock: gives the present, aware.
        guard: judges where they lead; None: as the settings say.
    """
    judge = guard or Guard(settings.allow_private_addresses)
    return tuple(_channels(settings, clock, judge))


def _channels(
    settings: AlertSettings, clock: Callable[[], datetime], guard: Guard
) -> Iterator[Channel]:
    for url in settings.slack_urls:
        yield Slack(url.get_secret_value(), guard)
    for url in settings.webhook_urls:
        secret = _plain(settings.webhook_secret)
        yield JsonWebhook(url.get_secret_value(), secret, guard, clock)
    server = _plain(settings.smtp_url)
    if server and settings.email_from and settings.email_to:
        yield Mail(server, settings.email_from, settings.email_to, guard)


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
