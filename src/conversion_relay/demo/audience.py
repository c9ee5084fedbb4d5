"""Who watches the outage: a channel that alerts are posted to, and a line every hour.

Speaks to people only. Times are those of the demonstration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Final

import orjson
from rich.console import Console
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from conversion_relay.demo.acceleration import Acceleration

ALERTS_PATH: Final = "/services/alerts"
_EACH: Final = 25
"""So many waiting conversions are one sign of the bar."""


@dataclass
class Audience:
    """Prints what happens, with the time at which it does.

    Attributes:
        alerts: the titles of those that came.
    """

    console: Console
    time: Acceleration
    alerts: list[str] = field(default_factory=list)

    def say(self, text: str, style: str = "") -> None:
        """A line with the present time."""
        shown = f"{self.time.now:%d %b %H:%M:%S}  {text}"
        self.console.print(shown, style=style, markup=False, highlight=False, soft_wrap=True)

    def hour(self, received: int, accepted: int, waiting: int) -> None:
        """How things stand."""
        bar = "#" * -(-waiting // _EACH)
        self.say(f"received {received:>5}   accepted {accepted:>5}   waiting {waiting:>5} {bar}")

    def channel(self) -> Starlette:
        """A webhook that takes alerts as Slack does."""
        return Starlette(routes=[Route(ALERTS_PATH, self._alerted, methods=["POST"])])

    async def _alerted(self, request: Request) -> Response:
        message = orjson.loads(await request.body())
        title = unescape(str(message.get("text", ""))).strip("*")
        self.alerts.append(title)
        self.say(f"ALERT  {title}", "bold")
        for one in message.get("attachments", ()):
            if isinstance(one, dict):
                self._details(one)
        return Response("ok")

    def _details(self, attachment: Mapping[str, object]) -> None:
        fields = attachment.get("fields")
        told = [one for one in fields if isinstance(one, dict)] if isinstance(fields, list) else []
        rest = [f"{one.get('title')}: {one.get('value')}" for one in told]
        for line in (str(attachment.get("text", "")), *rest):
            self.console.print(f"                 {unescape(line)}",
                markup=False, highlight=False, soft_wrap=True)  # fmt: skip


@dataclass
class Diary:
    """The log of the service, kept in a file, with the times of the demonstration."""

    folder: Path
    time: Acceleration

    def info(self, event: str, **details: object) -> None:
        """An ordinary line."""
        self._write("info", event, details)

    def warning(self, event: str, **details: object) -> None:
        """Something unusual."""
        self._write("warning", event, details)

    def error(self, event: str, **details: object) -> None:
        """Something wrong."""
        self._write("error", event, details)

    def _write(self, level: str, event: str, details: Mapping[str, object]) -> None:
        line = {**details, "level": level, "event": event, "timestamp": self.time.now}
        with (self.folder / "service.log").open("ab") as file:
            file.write(orjson.dumps(line, default=str, option=orjson.OPT_APPEND_NEWLINE))
