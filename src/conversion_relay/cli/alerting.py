"""The commands about alerts: `alerts test`. Needs the configuration, and no running service."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import typer

from conversion_relay.cli.checking import usable_configuration
from conversion_relay.cli.speaking import INPUT_PROBLEM, ConfigOption, explained, say
from conversion_relay.errors import RelayError
from conversion_relay.service import app as service
from conversion_relay.service.alerting.alert import (
    SERVICE,
    Alert,
    Finding,
    News,
    Notification,
    Severity,
)
from conversion_relay.service.alerting.channel import Channel, Message, NotSent, Result
from conversion_relay.service.alerting.channels import channels_of

alerts = typer.Typer(name="alerts", help="Look after alerts.", no_args_is_help=True)


@alerts.callback()
def _alerts() -> None:
    """Look after alerts."""


@alerts.command("test")
def send_test(config: ConfigOption = None) -> None:
    """Send a test through every configured channel, and say of each whether it got there."""
    with explained():
        configuration, _ = usable_configuration(config)
        channels = channels_of(configuration.alerts, service.now)
        if not channels:
            raise RelayError(
                "no channel is configured; set alerts.slack_urls, alerts.webhook_urls, or "
                "alerts.smtp_url with alerts.email_from and alerts.email_to"
            )
        results = asyncio.run(_send(channels, Message.of(_test(service.now()))))
        for channel, result in zip(channels, results, strict=True):
            say(f"{channel.kind} {channel.host}: {_told(result)}")
    if any(isinstance(result, NotSent) for result in results):
        raise typer.Exit(INPUT_PROBLEM)


async def _send(channels: Sequence[Channel], message: Message) -> Sequence[Result]:
    return await asyncio.gather(*(channel.send(message) for channel in channels))


def _told(result: Result) -> str:
    if isinstance(result, NotSent):
        return f"not sent: {result.reason}"
    return "sent" if result.note is None else f"sent; {result.note}"


def _test(now: datetime) -> Notification:
    finding = Finding(
        rule="test",
        subject=SERVICE,
        severity=Severity.WARNING,
        summary="This is a test of the alert channels. Nothing is wrong.",
        advice="Nothing. Alerts reach you here.",
    )
    return Notification(News.OPENED, Alert(finding, now, now), now)
