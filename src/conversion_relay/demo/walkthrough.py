"""The demonstration: a sandbox, the service, and a shop's events posted as Segment posts them.

Runs the same two commands a person would run, as processes of their own, and then only looks at
what their HTTP paths show. Knows nothing of the service's inside.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Final

import httpx
import orjson
from rich import box
from rich.console import Console
from rich.table import Table

from conversion_relay.errors import RelayError

_START_SECONDS: Final = 30.0
_ARRIVAL_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 15.0
_LAST_SINGLE: Final = 7
"""So many events go one by one, the rest as one batch."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demonstration runs, with the secrets made for it."""

    service_url: str
    sandbox_url: str
    folder: Path
    shared_secret: str
    bearer_token: str
    admin_token: str

    def environment(self) -> Mapping[str, str]:
        """What configures the service: the same variables as in production."""
        ours = ("RELAY_", "TIKTOK_", "SEGMENT_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return kept | {
            "TIKTOK_ACCESS_TOKEN": "demo-access-token",
            "TIKTOK_PIXEL_CODE": "DEMOPIXEL0001",
            "TIKTOK_API_URL": self.sandbox_url,
            "SEGMENT_SHARED_SECRET": self.shared_secret,
            "RELAY_BEARER_TOKEN": self.bearer_token,
            "RELAY_ADMIN_TOKEN": self.admin_token,
            "RELAY_DATABASE_URL": f"sqlite:///{self.folder / 'relay.db'}",
            "RELAY_PORT": self.service_url.rpartition(":")[2],
        }


@dataclass(frozen=True, slots=True)
class Row:
    """One event of the demonstration and what became of it."""

    event: str
    message_id: str
    mapping: str
    tiktok_event: str
    result: str


def run(*, once: bool) -> None:
    """Shows the whole way; returns when all arrived (`once`) or on Ctrl-C.

    Raises:
        RelayError: something did not start, or an event did not arrive.
    """
    console = Console()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="conversion-relay-")))
        stage = Stage(
            f"http://127.0.0.1:{_free_port(8080)}",
            f"http://127.0.0.1:{_free_port(9090)}",
            folder,
            *(secrets.token_hex(16) for _ in range(3)),
        )
        stack.enter_context(_sandbox(stage))
        stack.enter_context(_service(stage))
        events = _sample_events()
        console.print(f"Posting {len(events)} events of a shop, signed as Segment signs them …")
        _post_all(stage, events)
        rows = _rows_when_settled(stage, events)
        console.print(_table(rows))
        _check(rows)
        if not once:
            _stay(console, stage)


def _free_port(preferred: int) -> int:
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            chosen: int = probe.getsockname()[1]
            return chosen
    raise RelayError("no free port on 127.0.0.1")


def _sandbox(stage: Stage) -> AbstractContextManager[None]:
    port = stage.sandbox_url.rpartition(":")[2]
    command = ["sandbox", "--port", port, "--token", "demo-access-token"]
    probe = f"{stage.sandbox_url}/__sandbox/conversions"
    return _process("sandbox", command, os.environ, stage.folder, probe)


def _service(stage: Stage) -> AbstractContextManager[None]:
    probe = f"{stage.service_url}/readyz"
    return _process("service", ["serve"], stage.environment(), stage.folder, probe)


@contextmanager
def _process(
    name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path, probe: str
) -> Iterator[None]:
    """A command of ours as a process, from when it answers its probe; stopped on leaving."""
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command with our own arguments
            [sys.executable, "-m", "conversion_relay", *command],
            env=dict(environment), stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            _wait_until(lambda: _answers(process, probe, name, log), f"the {name} to start", log)
            yield
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Asks it to stop; kills it when that takes too long or somebody is impatient."""
    try:
        process.terminate()
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        process.kill()
        process.wait()


def _answers(process: subprocess.Popen[bytes], probe: str, name: str, log: Path) -> bool:
    if process.poll() is not None:
        raise RelayError(f"the {name} ended at once:\n{log.read_text(errors='replace')}")
    try:
        return httpx.get(probe, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _wait_until(done: Callable[[], bool], what: str, log: Path | None = None) -> None:
    deadline = time.monotonic() + (_START_SECONDS if log else _ARRIVAL_SECONDS)
    while not done():
        if time.monotonic() > deadline:
            details = f"; its log:\n{log.read_text(errors='replace')}" if log else ""
            raise RelayError(f"waited in vain for {what}{details}")
        time.sleep(0.05)


def _sample_events() -> list[dict[str, object]]:
    """The shop's events, as if they happened now."""
    text = resources.files("conversion_relay").joinpath("demo_events.ndjson").read_text("utf-8")
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    times = {"timestamp": now, "sentAt": now, "receivedAt": now}
    return [orjson.loads(line) | times for line in text.splitlines()]


def _post_all(stage: Stage, events: Sequence[dict[str, object]]) -> None:
    """Some one by one, the rest as a batch, and one of them twice, as a retry would."""
    for event in [*events[:_LAST_SINGLE], events[0]]:
        _post(stage, orjson.dumps(event), orjson.dumps(event))
    batch = events[_LAST_SINGLE:]
    _post(stage, orjson.dumps(batch), orjson.dumps(batch[0]))


def _post(stage: Stage, body: bytes, signed: bytes) -> None:
    """Segment signs the body of a single event, and of a batch its first event."""
    signature = hmac.new(stage.shared_secret.encode(), signed, hashlib.sha1).hexdigest()
    answer = httpx.post(
        f"{stage.service_url}/webhook/default",
        content=body,
        headers={
            "Content-Type": "application/json",
            "User-Agent": "Segment (Actions)",
            "X-Signature": signature,
            "Authorization": f"Bearer {stage.bearer_token}",
        },
        trust_env=False,
    )
    if not answer.is_success:
        raise RelayError(f"the service answered {answer.status_code}: {answer.text}")


def _rows_when_settled(stage: Stage, events: Sequence[dict[str, object]]) -> list[Row]:
    rows: list[Row] = []

    def settled() -> bool:
        rows[:] = _rows(stage, events)
        return all(row.result != "on its way" for row in rows)

    _wait_until(settled, "the events to arrive at the sandbox")
    return rows


def _rows(stage: Stage, events: Sequence[dict[str, object]]) -> list[Row]:
    conversions = httpx.get(f"{stage.sandbox_url}/__sandbox/conversions", trust_env=False).json()
    arrived = {
        (one["event"], one["event_id"]): one["copies"] for one in conversions["conversions"]
    }
    found = httpx.get(
        f"{stage.service_url}/api/deliveries",
        params={"message_id": [str(event["messageId"]) for event in events]},
        headers={"Authorization": f"Bearer {stage.admin_token}"},
        trust_env=False,
    ).json()["deliveries"]
    deliveries = {one["messageId"]: one for one in found}
    return [_row(event, deliveries.get(event["messageId"]), arrived) for event in events]


def _row(
    event: Mapping[str, object],
    delivery: Mapping[str, object] | None,
    arrived: Mapping[tuple[str, str], int],
) -> Row:
    name, message_id = str(event.get("event") or event["type"]), str(event["messageId"])
    if delivery is None:
        return Row(name, message_id, "-", "-", "kept only")
    mapping, tiktok_event = str(delivery["mapping"]), str(delivery["event"])
    copies = arrived.get((tiktok_event, message_id))
    if copies is not None and delivery["state"] == "delivered":
        often = "once" if copies == 0 else f"{copies + 1} times"
        return Row(name, message_id, mapping, tiktok_event, often)
    if delivery["state"] == "dead":
        return Row(name, message_id, mapping, tiktok_event, f"refused: {delivery['reason']}")
    return Row(name, message_id, mapping, tiktok_event, "on its way")


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0, collapse_padding=True)
    for heading in ("Segment event", "messageId", "mapping", "TikTok event", "accepted"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(row.event, row.message_id, row.mapping, row.tiktok_event, row.result)
    return table


def _check(rows: Sequence[Row]) -> None:
    refused = [row.message_id for row in rows if row.result.startswith("refused")]
    if refused:
        raise RelayError(f"the sandbox refused {', '.join(refused)}")


def _stay(console: Console, stage: Stage) -> None:
    console.print(
        f"""
The service and the sandbox keep running until Ctrl-C. Look at:
  {stage.service_url}/readyz                     is it ready
  {stage.service_url}/metrics                    its counters
  {stage.sandbox_url}/__sandbox/conversions      what TikTok would have counted
  {stage.sandbox_url}/__sandbox/requests         what was sent to it
The admin paths need the token of this demonstration:
  curl -H 'Authorization: Bearer {stage.admin_token}' {stage.service_url}/api/status
Post an event of your own:
  curl -H 'Authorization: Bearer {stage.bearer_token}' {stage.service_url}/webhook/default \\
    -d '{{"type": "track", "event": "Order Completed", "messageId": "my-1",
         "properties": {{"revenue": 5, "currency": "EUR"}}}}'
""",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        console.print("Stopping …")
