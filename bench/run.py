"""`make bench`: what one event costs, and how many the whole service takes and delivers.

Everything runs on this machine and in this run: the figures depend on the machine and on what else
it does, the ratios much less.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import orjson
from load import Answers, post_all
from prometheus_client.parser import text_string_to_metric_families
from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table
from work import SECRET, Figure, figures, sample_event

BEARER = "a-bearer-token"
_START_SECONDS = 20
_DELIVERY_SECONDS = 40
_MILLISECONDS = 1000
_COLUMNS: Final[tuple[tuple[str, JustifyMethod], ...]] = (
    ("figure", "left"),
    ("events/s", "right"),
    ("of the floor", "right"),
    ("remark", "left"),
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Requests to post."""

    what: str
    requests: int
    events_each: int
    connections: int

    @property
    def events(self) -> int:
        """In all requests."""
        return self.requests * self.events_each


SCENARIOS = (
    Scenario("one event a request, 64 connections", 20_000, 1, 64),
    Scenario("batches of 100, 8 connections", 400, 100, 8),
    Scenario("batches of 1,000, 4 connections", 40, 1000, 4),
)


def main() -> None:
    """Measures and prints."""
    pieces = figures()
    floor = pieces[0].per_second
    rows = list(pieces)
    for scenario in SCENARIOS:
        rows += _served(scenario)
    _print(rows, floor)


def _print(rows: list[Figure], floor: float) -> None:
    table = Table(box=box.SIMPLE_HEAD, title=f"{os.cpu_count()} cores, {sys.version.split()[0]}")
    for heading, side in _COLUMNS:
        table.add_column(heading, no_wrap=True, justify=side)
    for row in rows:
        ratio = f"{row.per_second / floor:.2f}"
        table.add_row(row.what, f"{row.per_second:,.0f}", ratio, row.remark)
    Console(width=110).print(table)


def _served(scenario: Scenario) -> list[Figure]:
    """Accepted and delivered events each second, with service and sandbox as processes."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relay-bench-")))
        api_port, port = _free_port(), _free_port()
        stack.enter_context(_process(folder, {}, "sandbox", "--port", str(api_port)))
        settings = _settings(folder, port, f"http://127.0.0.1:{api_port}")
        stack.enter_context(_process(folder, settings, "serve"))
        _wait_until_ready(port)
        requests = _requests(scenario)
        start = time.perf_counter()
        answers = post_all(port, requests, scenario.connections)
        delivered_after = _delivered(port, scenario.events) - start
        size = sum(file.stat().st_size for file in folder.glob("relay.db*"))
    return [
        Figure(f"accepted: {scenario.what}", scenario.events / answers.seconds, _times(answers)),
        Figure(
            "  delivered, end to end",
            scenario.events / delivered_after,
            f"{size / scenario.events / 1024:.1f} KiB an event on the disk",
        ),
    ]


def _times(answers: Answers) -> str:
    p50, p99 = (answers.percentile(share) * _MILLISECONDS for share in (0.5, 0.99))
    return f"p50 {p50:.0f} ms, p99 {p99:.0f} ms"


def _settings(folder: Path, port: int, api_url: str) -> Mapping[str, str]:
    return {
        "TIKTOK_ACCESS_TOKEN": "token",
        "TIKTOK_PIXEL_CODE": "PIXEL",
        "TIKTOK_API_URL": api_url,
        "SEGMENT_SHARED_SECRET": SECRET.decode(),
        "RELAY_BEARER_TOKEN": BEARER,
        "RELAY_PORT": str(port),
        "RELAY_DATABASE_URL": f"sqlite:///{folder / 'relay.db'}",
    }


@contextmanager
def _process(folder: Path, settings: Mapping[str, str], *arguments: str) -> Iterator[None]:
    prefixes = ("RELAY_", "TIKTOK_", "SEGMENT_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    with (folder / f"{arguments[0]}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command with our own arguments
            [sys.executable, "-m", "conversion_relay", *arguments],
            env={**kept, **settings}, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def _requests(scenario: Scenario) -> list[bytes]:
    """Signed as Segment signs them: over the first event."""
    pattern = orjson.dumps(sample_event())
    requests = []
    for number in range(scenario.requests):
        first = number * scenario.events_each
        events = [
            pattern.replace(b"message-0000000000", b"message-%010d" % (first + n))
            for n in range(scenario.events_each)
        ]
        body = events[0] if scenario.events_each == 1 else b"[" + b",".join(events) + b"]"
        signature = hmac.new(SECRET, events[0], hashlib.sha1).hexdigest()
        head = (
            "POST /webhook/default HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {BEARER}\r\nX-Signature: {signature}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        requests.append(head.encode() + body)
    return requests


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(port: int) -> None:
    deadline = time.perf_counter() + _START_SECONDS
    while time.perf_counter() < deadline:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise TimeoutError("the service did not start")


def _delivered(port: int, events: int) -> float:
    """When the last event was delivered."""
    deadline = time.perf_counter() + _DELIVERY_SECONDS
    while time.perf_counter() < deadline:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
        if _count(text) >= events:
            return time.perf_counter()
        time.sleep(0.02)
    raise TimeoutError("not everything was delivered")


def _count(exposition: str) -> float:
    return sum(
        sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
        if sample.name == "relay_deliveries_settled_total"
        and sample.labels["state"] == "delivered"
    )


if __name__ == "__main__":
    main()
