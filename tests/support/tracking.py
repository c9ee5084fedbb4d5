"""The Tracking API alone, with a toy destination and a store in memory behind it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import cast

import httpx
import orjson
from starlette.applications import Starlette

from conversion_relay.core.values import Json, JsonObject
from conversion_relay.errors import StoreError
from conversion_relay.service.http.edge.body import BodyLimits
from conversion_relay.service.http.intake import IngestLimits, Intake
from conversion_relay.service.http.signature import Credentials
from conversion_relay.service.http.sources import Source, Sources
from conversion_relay.service.http.tracking.cors import Cors, CrossOrigin
from conversion_relay.service.http.tracking.endpoint import PREFIX
from conversion_relay.service.http.tracking.routes import tracking_routes
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.settings import ServiceSettings
from conversion_relay.service.store.port import NewEvent, Receipt, Store
from support.lines import Lines
from support.toy import target

KEY, OTHER_KEY, OPEN_KEY, SLOW_KEY = "web-key", "other-key", "ip-key", "slow-key"
MEMORY_KEY = "memory-key"
RECEIVED = datetime(2026, 11, 20, 10, 0, 10, tzinfo=UTC)
SETTINGS = ServiceSettings(
    max_event_bytes=4_000,
    max_tracking_event_bytes=2_000,
    max_tracking_body_bytes=20_000,
    max_body_bytes=50_000,
    max_batch_events=500,
    trusted_proxies=("10.0.0.0/8",),
)


@dataclass(slots=True)
class MemoryStore:
    """Keeps events in memory, each messageId once, or fails."""

    error: StoreError | None = None
    kept: list[NewEvent] = field(default_factory=list)

    async def append(self, events: Sequence[NewEvent]) -> Receipt:
        """Keeps those that are new."""
        if self.error is not None:
            raise self.error
        fresh = []
        for event in events:
            known = {(one.source, one.message_id) for one in self.kept}
            fresh.append((event.source, event.message_id) not in known)
            if fresh[-1]:
                self.kept.append(event)
        return Receipt(tuple(fresh))

    def has_room(self, events: int, size_bytes: int) -> bool:
        """Whether so many may come."""
        return events >= 0 and size_bytes >= 0


@dataclass(slots=True)
class Door:
    """The endpoint, and what came through it.

    Attributes:
        settings: of the service.
        client: the address requests come from.
    """

    settings: ServiceSettings = SETTINGS
    client: str = "93.184.216.34"
    store: MemoryStore = field(default_factory=MemoryStore)
    log: Lines = field(default_factory=Lines)
    application: Starlette = field(init=False)

    def __post_init__(self) -> None:
        """Builds the endpoint."""
        ids = count(1)
        routes = tracking_routes(self._intake(), self.settings, lambda: f"fresh-{next(ids)}")
        self.application = Starlette(routes=list(routes))
        cors = Cors.of(self.settings.cors_origins)
        self.application.add_middleware(CrossOrigin, cors=cors, prefix=PREFIX)

    def _intake(self) -> Intake:
        return Intake(
            sources=Sources.of(_sources()),
            store=cast("Store", self.store),
            limits=IngestLimits(
                BodyLimits(self.settings.max_body_bytes, 5.0), self.settings.max_event_bytes, 500
            ),
            clock=lambda: RECEIVED,
            arrived=lambda: None,
            metrics=Metrics(),
            log=self.log,
        )

    async def post(
        self,
        path: str,
        body: Json | bytes,
        key: str | None = KEY,
        headers: Mapping[str, str] | None = None,
        method: str = "POST",
    ) -> httpx.Response:
        """Posts as Segment's libraries do, with the key as the user name of Basic."""
        given = {} if key is None else basic(key)
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        transport = httpx.ASGITransport(app=self.application, client=(self.client, 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://relay") as client:
            return await client.request(
                method, path, content=content, headers={**given, **(headers or {})}
            )

    def originals(self) -> list[JsonObject]:
        """What was kept, read again."""
        return [orjson.loads(one.original) for one in self.store.kept]


def basic(user: str, password: str = "") -> dict[str, str]:
    """The header of Basic."""
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


def _sources() -> Sequence[Source]:
    return [
        Source("web", Credentials(write_keys=(KEY.encode(), b"web-key-new")), (target(),)),
        Source("other", Credentials(write_keys=(OTHER_KEY.encode(),)), (target(),)),
        Source(
            "visitors",
            Credentials(write_keys=(OPEN_KEY.encode(),)),
            (target(),),
            takes_visitor_ip=True,
        ),
        Source("slow", Credentials(write_keys=(SLOW_KEY.encode(),)), (target(),), rate_limit=1),
        Source(
            "remembering",
            Credentials(write_keys=(MEMORY_KEY.encode(),)),
            (target(),),
            remembers_for=timedelta(days=1),
        ),
    ]
