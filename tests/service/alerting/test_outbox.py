"""Notifications on their way, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from pydantic import SecretStr

from conversion_relay.service.alerting.alert import News, Severity
from conversion_relay.service.alerting.channel import Channel, Message, NotSent, Result, Sent
from conversion_relay.service.alerting.outbox import Outbox, outbox_of
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.settings import AlertSettings
from conversion_relay.service.surroundings import Surroundings
from support.alerts import notification
from support.lines import Lines
from support.time import VirtualTime, Work, drive


@dataclass(eq=False)
class Scripted:
    """A channel that does as it is told, and remembers what got there."""

    host: str = "hooks.example"
    kind: str = "slack"
    up: bool = True
    after_seconds: float | None = None
    broken: bool = False
    hangs: bool = False
    tries: int = 0
    got: list[tuple[str, str]] = field(default_factory=list)

    async def send(self, message: Message) -> Result:
        """As told."""
        self.tries += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.broken:
            raise ZeroDivisionError
        if not self.up:
            return NotSent("status 503", self.after_seconds)
        said = message.notification
        self.got.append((said.alert.finding.subject, said.news.value))
        return Sent()


@dataclass
class Bench:
    """An outbox that runs, and the time it runs in."""

    outbox: Outbox
    time: VirtualTime
    work: Work
    log: Lines
    metrics: Metrics

    async def until(self, condition: Callable[[], bool]) -> None:
        """Lets time pass until then."""
        await drive(self.time, self.work, condition)

    def counted(self) -> dict[tuple[str, ...], float]:
        """The metric of notifications."""
        readings = self.metrics.readings()
        return {
            labels: value
            for (name, labels), value in readings.items()
            if name == "alert_notifications" and value
        }


@asynccontextmanager
async def _running(*channels: Channel) -> AsyncIterator[Bench]:
    time, log, metrics = VirtualTime(), Lines(), Metrics()
    around = Surroundings(time, lambda: 0.5, metrics, log, time.sleep)
    others = {"https://b.example/b": channels[-1:], "https://none.example/": ()}

    def find(settings: AlertSettings) -> tuple[Channel, ...]:
        return others[settings.slack_urls[0].get_secret_value()]

    outbox = Outbox(channels, around, find, closing_seconds=0.05)
    task = asyncio.create_task(outbox.run())
    try:
        yield Bench(outbox, time, Work(), log, metrics)
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_everything_goes_to_every_channel_at_once() -> None:
    slack, mail = Scripted(), Scripted("mail.example", "email")
    async with _running(slack, mail) as bench:
        began = bench.time.now
        bench.outbox.notify(notification())
        bench.outbox.notify(notification(subject="us"))
        await bench.until(lambda: len(slack.got) == len(mail.got) == 2)
        assert bench.time.now == began
        await bench.work.rest()
        assert bench.counted() == {("slack", "sent"): 2, ("email", "sent"): 2}


async def test_a_channel_that_is_down_stops_no_other_and_gets_it_later() -> None:
    down, up = Scripted(up=False), Scripted("other.example", "webhook")
    async with _running(down, up) as bench:
        bench.outbox.notify(notification())
        await bench.until(lambda: down.tries == 20)
        assert up.got == [("eu", "opened")]
        down.up = True
        await bench.until(lambda: bool(down.got))
        await bench.work.rest()
        assert bench.counted() == {
            ("slack", "failed"): 20,
            ("slack", "sent"): 1,
            ("webhook", "sent"): 1,
        }


async def test_after_an_hour_of_silence_it_has_been_tried_a_dozen_times() -> None:
    down = Scripted(up=False)
    async with _running(down) as bench:
        began = bench.time.now
        bench.outbox.notify(notification())
        await bench.until(lambda: bench.time.now - began >= timedelta(hours=1))
        assert 10 <= down.tries <= 20


async def test_it_is_given_up_after_a_day_and_said() -> None:
    down = Scripted(up=False)
    async with _running(down) as bench:
        began = bench.time.now
        bench.outbox.notify(notification())
        await bench.until(lambda: "alert.given_up" in bench.log.events)
        assert timedelta(hours=23) < bench.time.now - began <= timedelta(hours=24)
        assert bench.counted()["slack", "given_up"] == 1
        bench.outbox.notify(notification(subject="us"))
        down.up = True
        await bench.until(lambda: down.got == [("us", "opened")])


async def test_the_resolution_takes_the_place_of_what_was_not_told() -> None:
    down = Scripted(up=False)
    async with _running(down) as bench:
        bench.outbox.notify(notification())
        await bench.until(lambda: down.tries == 2)
        bench.outbox.notify(notification(News.RESOLVED, timedelta(minutes=1)))
        down.up = True
        await bench.until(lambda: bool(down.got))
        assert down.got == [("eu", "resolved")]


async def test_a_receiver_that_asks_for_a_pause_gets_it() -> None:
    down = Scripted(up=False, after_seconds=600)
    async with _running(down) as bench:
        began = bench.time.now
        bench.outbox.notify(notification())
        await bench.until(lambda: down.tries == 2)
        assert bench.time.now - began == timedelta(seconds=600)


async def test_a_fault_of_a_channel_ends_nothing() -> None:
    broken = Scripted(broken=True)
    async with _running(broken) as bench:
        bench.outbox.notify(notification())
        await bench.until(lambda: broken.tries == 2)
        broken.broken = False
        await bench.until(lambda: bool(broken.got))
        assert "alert.broken" in bench.log.events


async def test_the_log_tells_where_no_channel_does() -> None:
    async with _running() as bench:
        bench.outbox.notify(notification())
        bench.outbox.notify(notification(News.STILL_OPEN, severity=Severity.WARNING))
        bench.outbox.notify(notification(News.RESOLVED, timedelta(minutes=1)))
    assert [(level, event) for level, event, _ in bench.log.lines] == [
        ("error", "alert.opened"),
        ("warning", "alert.still_open"),
        ("info", "alert.resolved"),
    ]
    assert bench.log.lines[0][2] == {
        "rule": "lane_held",
        "subject": "eu",
        "severity": "critical",
        "summary": "TikTok refuses the access token (code 40105).",
        "since": "2026-11-21T12:00:00+00:00",
        "waiting": 1240,
        "value_micros": {"EUR": 1_240_500_000, "USD": 20_000_000},
    }


async def test_other_settings_keep_what_waits_for_a_channel_that_stays() -> None:
    goes, stays = Scripted(up=False), Scripted("b.example", up=False)
    async with _running(goes, stays) as bench:
        bench.outbox.notify(notification())
        await bench.until(lambda: goes.tries == stays.tries == 1)
        await bench.work.rest()
        bench.outbox.configure(AlertSettings(slack_urls=(SecretStr("https://b.example/b"),)))
        given_up = [details for _, event, details in bench.log.lines if event == "alert.given_up"]
        assert [one["reason"] for one in given_up] == ["the channel is no longer configured"]
        stays.up = True
        await bench.until(lambda: bool(stays.got))
        assert goes.tries == 1


@pytest.mark.parametrize("hangs", [False, True])
async def test_the_end_gives_what_waits_a_moment(hangs: bool) -> None:
    channel = Scripted(hangs=hangs)
    async with _running(channel) as bench:
        await bench.work.rest()
        bench.outbox.notify(notification())
        bench.outbox.notify(notification(subject="us"))
    assert channel.got == ([] if hangs else [("eu", "opened"), ("us", "opened")])


async def test_no_line_holds_the_path_of_an_address_or_a_secret() -> None:
    time, log = VirtualTime(), Lines()
    around = Surroundings(time, lambda: 0.5, Metrics(), log, time.sleep)
    settings = AlertSettings(
        slack_urls=(SecretStr("http://127.0.0.1:9/services/T0/B0/path-secret"),),
        webhook_urls=(SecretStr("http://user:url-secret@127.0.0.1:9/path-secret?k=path-secret"),),
        webhook_secret=SecretStr("signing-secret"),
        smtp_url=SecretStr("smtp://ops:mail-secret@127.0.0.1:9"),
        email_from="relay@shop.example",
        email_to=("ops@shop.example",),
    )
    outbox = outbox_of(settings, around)
    task = asyncio.create_task(outbox.run())
    outbox.notify(notification())
    async with asyncio.timeout(20):
        while log.events.count("alert.not_sent") < 3:  # noqa: ASYNC110 - real sockets
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    assert "-secret" not in repr(log.lines)
    assert "-secret" not in repr(outbox)
    assert [details.get("host") for _, event, details in log.lines if event == "alert.not_sent"]
