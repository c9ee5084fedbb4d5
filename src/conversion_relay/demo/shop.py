"""A shop: its visitors' events, signed and posted as Segment does it.

Knows of the service nothing but its webhook, and keeps what it was promised to be delivered.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from typing import Final

import httpx
import orjson

from conversion_relay.errors import RelayError

_OFTEN: Final = {
    "Product Added": 9,
    "Products Searched": 8,
    "Product Added to Wishlist": 2,
    "Checkout Started": 5,
    "Payment Info Entered": 4,
    "Order Completed": 4,
}
"""Events that are conversions, and how often each comes among the others."""
_ORDERS: Final = (9.9, 14.5, 29.0, 48.4, 79.0, 134.9, 218.0)
_CURRENCIES: Final = ("GBP", "GBP", "GBP", "EUR")


@dataclass
class Shop:
    """A shop with visitors.

    Attributes:
        client: of the service.
        secret: with which Segment signs.
        randomness: of visitors.
        promised: the messageIds the service answered 200 for.
    """

    client: httpx.AsyncClient
    secret: str
    randomness: random.Random
    promised: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _kinds: Sequence[Mapping[str, object]] = field(init=False)

    def __post_init__(self) -> None:
        """Reads what its events look like."""
        text = (
            resources.files("conversion_relay").joinpath("demo_events.ndjson").read_text("utf-8")
        )
        events = [orjson.loads(line) for line in text.splitlines()]
        self._kinds = list(
            {one["event"]: one for one in events if one.get("event") in _OFTEN}.values()
        )

    def pause_seconds(self, now: datetime, average: float) -> float:
        """Until the next event: visitors come by chance, and at night few of them."""
        day = 1.0 + 0.6 * math.sin((now.hour + now.minute / 60 - 9) / 24 * 2 * math.pi)
        return self.randomness.expovariate(day / average)

    async def send(self, now: datetime) -> None:
        """One event, as it happens now.

        Raises:
            RelayError: the service did not take it.
        """
        await self.post(self.event(now))

    async def post(self, event: Mapping[str, object]) -> None:
        """This event, for the first time or again.

        Raises:
            RelayError: the service did not take it.
        """
        body = orjson.dumps(event)
        try:
            answer = await self.client.post(
                "/webhook/default", content=body, headers=self._signed(body)
            )
        except httpx.HTTPError as error:
            raise RelayError(f"the service did not answer the shop: {error!r}") from error
        if not answer.is_success:
            raise RelayError(f"the service answered {answer.status_code}: {answer.text}")
        self.promised.append(str(event["messageId"]))

    def _signed(self, body: bytes) -> Mapping[str, str]:
        return {
            "Content-Type": "application/json",
            "User-Agent": "Segment (Actions)",
            "X-Signature": hmac.new(self.secret.encode(), body, hashlib.sha1).hexdigest(),
        }

    def event(self, now: datetime) -> Mapping[str, object]:
        """What a visitor does now."""
        weights = [_OFTEN[str(one["event"])] for one in self._kinds]
        (kind,) = self.randomness.choices(self._kinds, weights)
        at = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        number = f"shop-{next(self._numbers):05}"
        known = kind["properties"] if isinstance(kind["properties"], dict) else {}
        properties = {**known, "order_id": number, **self._worth(known)}
        times = {"timestamp": at, "sentAt": at, "receivedAt": at}
        return {**kind, **times, "messageId": number, "properties": properties}

    def _worth(self, known: Mapping[str, object]) -> Mapping[str, object]:
        """Another price and currency, where the event has one."""
        amount = self.randomness.choice(_ORDERS)
        currency = self.randomness.choice(_CURRENCIES)
        priced = {name: amount for name in ("value", "revenue") if name in known}
        return {**priced, "currency": currency} if priced else {}
