"""An outage of TikTok for 14 hours, shown in two minutes: alerts, backlog, recovery, report.

Service, sandbox and shop run in one event loop whose time is accelerated; the time-outs of HTTP
are real.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

import httpx
from rich import box
from rich.console import Console
from rich.table import Table

from conversion_relay.demo.acceleration import Acceleration
from conversion_relay.demo.audience import ALERTS_PATH, Audience, Diary
from conversion_relay.demo.happening import Outage, Script
from conversion_relay.demo.hosting import end_on_signal, hosted
from conversion_relay.demo.shop import Shop
from conversion_relay.errors import RelayError
from conversion_relay.sandbox import create_sandbox
from conversion_relay.sandbox import running as running_sandbox
from conversion_relay.service.app import Outside, now, open_relay
from conversion_relay.service.configuration import load
from conversion_relay.service.http.admin.report import PATH as REPORT
from conversion_relay.service.http.edge.protocol import behind
from conversion_relay.service.relay import Relay

_TOKEN: Final = "demo-access-token"  # noqa: S105 - of the sandbox
_PORT: Final = 8080
_LONGEST_TURN: Final = timedelta(seconds=12)
"""Workers and the monitor look around every five seconds, and that takes a moment."""
_ROWS: Final = ("received", "on_time", "late", "waiting", "uncertain", "dead", "suppressed")


def run(*, once: bool, script: Script | None = None) -> None:
    """Shows the outage; returns when all arrived (`once`) or on Ctrl-C.

    Raises:
        RelayError: something did not start, or an event did not arrive exactly once.
    """
    console = Console()
    with tempfile.TemporaryDirectory(prefix="conversion-relay-") as folder:
        try:
            asyncio.run(_Stage(console, Path(folder), script or Script()).perform(once=once))
        except (KeyboardInterrupt, asyncio.CancelledError):
            console.print("Stopping …")


@dataclass
class _Stage:
    """Where it is shown."""

    console: Console
    folder: Path
    script: Script
    secret: str = field(default_factory=lambda: secrets.token_hex(16))
    admin_token: str = field(default_factory=lambda: secrets.token_hex(16))

    async def perform(self, *, once: bool) -> None:
        """All of it."""
        end_on_signal()
        began, opened = time.monotonic(), now() - self.script.length
        clock = Acceleration(opened, self.script.factor)
        audience = Audience(self.console, clock)
        sandbox = create_sandbox(clock=clock.timestamp, access_tokens=frozenset({_TOKEN}))
        async with AsyncExitStack() as stack:
            tiktok = await stack.enter_async_context(running_sandbox(sandbox))
            relay = await stack.enter_async_context(self._relay(clock, audience, tiktok))
            url = await stack.enter_async_context(hosted(relay.http, behind(relay.door), _PORT))
            client = await stack.enter_async_context(
                httpx.AsyncClient(base_url=url, trust_env=False, timeout=60)
            )
            passing = await stack.enter_async_context(_passing(clock, relay))
            await stack.enter_async_context(relay.delivering())
            shop = Shop(client, self.secret, random.Random(7))  # noqa: S311 - visitors
            await Outage(self.script, clock, audience, sandbox, relay, shop).happen(passing)
            _require_alerts(audience)
            await self._report(client, opened, clock.now)
            lasted = time.monotonic() - began
            self.console.print(
                f"Shown in {lasted:.0f} s, with time up to {clock.factor:g} times as fast."
            )
            if not once:
                clock.factor = 1.0
                await self._stay(url, tiktok)

    @asynccontextmanager
    async def _relay(
        self, clock: Acceleration, audience: Audience, tiktok: str
    ) -> AsyncIterator[Relay]:
        """The service, in this time, with the audience as the channel of its alerts."""
        outside = Outside(clock=clock.clock, sleep=clock.sleep, monotonic=clock.monotonic)
        async with hosted(audience.channel()) as channel:
            configuration = load(self._environment(tiktok, channel), None)
            async with open_relay(configuration, Diary(self.folder, clock), outside) as relay:
                yield relay

    def _environment(self, tiktok: str, channel: str) -> Mapping[str, str]:
        """What configures the service: the same variables as in production."""
        return {
            "TIKTOK_ACCESS_TOKEN": _TOKEN,
            "TIKTOK_PIXEL_CODE": "DEMOPIXEL0001",
            "TIKTOK_API_URL": tiktok,
            "SEGMENT_SHARED_SECRET": self.secret,
            "RELAY_ADMIN_TOKEN": self.admin_token,
            "RELAY_DATABASE_URL": f"sqlite:///{self.folder / 'relay.db'}",
            "RELAY_ALERT_SLACK_URL": f"{channel}{ALERTS_PATH}",
            "RELAY_ALERT_ALLOW_PRIVATE_ADDRESSES": "true",
        }

    async def _report(self, client: httpx.AsyncClient, since: datetime, until: datetime) -> None:
        """Writes it down, and sums it up."""
        asked = {"since": since.isoformat(), "until": until.isoformat()}
        key = {"Authorization": f"Bearer {self.admin_token}"}
        page = await client.get(REPORT, params={**asked, "format": "html"}, headers=key)
        told = await client.get(REPORT, params={**asked, "format": "json"}, headers=key)
        if not (page.is_success and told.is_success):
            raise RelayError(f"the service answered {page.status_code} to the report")
        number, name = tempfile.mkstemp(prefix="conversion-relay-outage-", suffix=".html")
        with os.fdopen(number, "wb") as file:
            file.write(page.content)
        report = told.json()
        self.console.print()
        for sentence in report["summary"]:
            self.console.print(sentence, markup=False, highlight=False, soft_wrap=True)
        self.console.print(_table(report["totals"]))
        self.console.print(f"The report, to be opened in a browser and printed: {name}",
            markup=False, highlight=False, soft_wrap=True)  # fmt: skip

    async def _stay(self, url: str, tiktok: str) -> None:
        self.console.print(
            f"""
The service and the sandbox keep running until Ctrl-C; time passes as usual now. Look at:
  {url}/metrics                            its counters
  {tiktok}/__sandbox/conversions           what TikTok would have counted
The admin paths need the token of this demonstration:
  curl -H 'Authorization: Bearer {self.admin_token}' {url}/api/status
""",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
        await asyncio.Event().wait()


def _table(totals: Mapping[str, Mapping[str, object]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("conversions")
    table.add_column("count", justify="right")
    table.add_column("value", justify="right")
    for name in _ROWS:
        values = totals[name]["value"]
        told = values.items() if isinstance(values, dict) else ()
        worth = ", ".join(f"{Decimal(value):,.2f} {currency}" for currency, value in told)
        table.add_row(name.replace("_", " "), str(totals[name]["count"]), worth)
    return table


def _require_alerts(audience: Audience) -> None:
    if not audience.alerts:
        raise RelayError("no alert told of the outage")


@asynccontextmanager
async def _passing(clock: Acceleration, relay: Relay) -> AsyncIterator[asyncio.Task[None]]:
    """Lets time pass; it stands still for requests on their way, and for whoever lags."""

    def busy() -> bool:
        workers, seen = relay.workers.values(), relay.monitor and relay.monitor.figures
        turns = [*(worker.last_turn_at for worker in workers), seen.at if seen else None]
        lags = any(turn is not None and clock.now - turn > _LONGEST_TURN for turn in turns)
        return lags or any(worker.sending for worker in workers)

    clock.busy = busy
    task = asyncio.create_task(clock.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
