"""Brings every notification to every channel, again and again until it got there.

Each channel has its own queue, so that one which is down stops no other. Without any channel the
log tells. Knows no rule and no kind of channel; never raises to those who notify.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from conversion_relay.service.alerting.alert import News, Notification, Severity
from conversion_relay.service.alerting.channel import Channel, Message, NotSent, Result, Sent
from conversion_relay.service.alerting.channels import channels_of
from conversion_relay.service.alerting.queue import (
    LONGEST_ASKED_PAUSE,
    Queue,
    Waiting,
    pause_after,
)
from conversion_relay.service.logs import fault
from conversion_relay.service.settings import AlertSettings
from conversion_relay.service.surroundings import Surroundings

_CLOSING_SECONDS: Final = 1.0
_EVENTS: Final = {
    News.OPENED: "alert.opened",
    News.STILL_OPEN: "alert.still_open",
    News.RESOLVED: "alert.resolved",
}


@dataclass(slots=True)
class Outbox:
    """Sends notifications through the present channels.

    Attributes:
        channels: where they go.
        around: time, dice, counters, log.
        find: gives the channels of other settings.
        closing_seconds: how long the end waits for what is on its way.
    """

    channels: tuple[Channel, ...]
    around: Surroundings
    find: Callable[[AlertSettings], tuple[Channel, ...]]
    closing_seconds: float = _CLOSING_SECONDS
    _queues: dict[Channel, Queue] = field(default_factory=dict)
    _sending: dict[Channel, asyncio.Task[None]] = field(default_factory=dict)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Begins with empty queues."""
        self._use(self.channels)

    def configure(self, settings: AlertSettings) -> None:
        """Goes on with these settings; what waits for a channel that stays goes on waiting."""
        self._use(self.find(settings))

    def notify(self, notification: Notification) -> None:
        """Logs it, and sends it to every channel as soon as that can be reached; never raises."""
        try:
            self._log(notification)
            message, now = Message.of(notification), self.around.clock()
            for channel, queue in self._queues.items():
                crowded_out = queue.add(message, now)
                if crowded_out is not None:
                    self._give_up(channel, crowded_out, "too many messages wait")
            self._arrived.set()
        except Exception as error:  # noqa: BLE001 - whoever notifies watches over the service
            self.around.log.error("alert.broken", **fault(error))

    async def run(self) -> None:
        """Sends until cancelled; then tries for a moment what still waits."""
        try:
            while True:
                self._arrived.clear()
                self._send_what_is_due()
                await self._wait()
        finally:
            await self._close()

    def _use(self, channels: Iterable[Channel]) -> None:
        present = dict.fromkeys(channels)
        for channel in self._queues.keys() - present.keys():
            for waiting in self._queues[channel]:
                self._give_up(channel, waiting, "the channel is no longer configured")
        self._queues = {channel: self._queues.get(channel, Queue()) for channel in present}
        self.channels = tuple(present)
        self._arrived.set()

    def _send_what_is_due(self) -> None:
        """One message at a time for each channel, all of them side by side."""
        now = self.around.clock()
        for channel, queue in self._queues.items():
            waiting = None if channel in self._sending else queue.next(now)
            if waiting is not None:
                task = asyncio.create_task(self._send(channel, waiting))
                self._sending[channel] = task

    async def _send(self, channel: Channel, waiting: Waiting) -> None:
        try:
            result = await channel.send(waiting.message)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the others
            self.around.log.error("alert.broken", **fault(error))
            result = NotSent("the service met a fault of its own")
        finally:
            del self._sending[channel]
            self._arrived.set()
        self._record(channel, waiting, result)

    def _record(self, channel: Channel, waiting: Waiting, result: Result) -> None:
        queue, now = self._queues.get(channel, Queue()), self.around.clock()
        if isinstance(result, Sent):
            queue.sent(waiting, now)
            self._count(channel, "sent")
            self.around.log.info(
                "alert.sent", **_which(channel, waiting), tries=waiting.tries + 1, note=result.note
            )
            return
        pause = pause_after(waiting.tries, self.around.jitter())
        asked = timedelta(seconds=result.after_seconds or 0.0)
        pause = max(pause, min(asked, LONGEST_ASKED_PAUSE))
        self._count(channel, "failed")
        self.around.log.warning(
            "alert.not_sent",
            **_which(channel, waiting),
            tries=waiting.tries + 1,
            reason=result.reason,
            again_in_seconds=round(pause.total_seconds(), 1),
        )
        given_up = queue.failed(waiting, now, pause)
        if given_up is not None:
            self._give_up(channel, given_up, result.reason)

    def _give_up(self, channel: Channel, waiting: Waiting, reason: str) -> None:
        self._count(channel, "given_up")
        which = _which(channel, waiting)
        self.around.log.error("alert.given_up", **which, tries=waiting.tries, reason=reason)

    def _count(self, channel: Channel, result: str) -> None:
        self.around.metrics.notifications.labels(channel.kind, result).inc()

    async def _wait(self) -> None:
        """Until something comes in or ends, or is due."""
        now, idle = self.around.clock(), self._queues.keys() - self._sending.keys()
        dues = [due for one in idle if (due := self._queues[one].next_due(now)) is not None]
        awaited: list[asyncio.Future[object]] = [asyncio.ensure_future(self._arrived.wait())]
        if dues:
            pause = (min(dues) - now).total_seconds()
            awaited.append(asyncio.ensure_future(self.around.sleep(pause)))
        try:
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in awaited:
                one.cancel()

    async def _close(self) -> None:
        """What is on its way, and what else is due, gets a moment."""
        try:
            async with asyncio.timeout(self.closing_seconds):
                self._send_what_is_due()
                while self._sending:
                    await asyncio.wait(self._sending.values())
                    self._send_what_is_due()
        except TimeoutError:
            hanging = tuple(self._sending.values())
            for task in hanging:
                task.cancel()
            await asyncio.wait(hanging)

    def _log(self, notification: Notification) -> None:
        finding, news = notification.alert.finding, notification.news
        log = self.around.log
        write = log.error if finding.severity is Severity.CRITICAL else log.warning
        if news is News.RESOLVED:
            write = log.info
        write(
            _EVENTS[news],
            rule=finding.rule,
            subject=finding.subject,
            severity=finding.severity.value,
            summary=finding.summary,
            since=(finding.since or notification.alert.opened_at).isoformat(),
            waiting=notification.waiting,
            value_micros=dict(notification.value_micros),
        )


def outbox_of(settings: AlertSettings, around: Surroundings) -> Outbox:
    """The outbox with the channels of these settings."""

    def find(present: AlertSettings) -> tuple[Channel, ...]:
        return channels_of(present, around.clock)

    return Outbox(find(settings), around, find)


def _which(channel: Channel, waiting: Waiting) -> dict[str, object]:
    """What a line says of a message on its way; of the address only the host."""
    notification = waiting.message.notification
    rule, subject = waiting.about
    return {
        "channel": channel.kind,
        "host": channel.host,
        "rule": rule,
        "subject": subject,
        "news": notification.news.value,
    }
