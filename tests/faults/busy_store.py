"""A program that appends, claims and settles for ever, and says what the store acknowledged.

Made to be killed: PATH SEED. (Power loss is another matter: that hangs on synchronous=FULL.)
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from conversion_relay.core.delivery import Cause, State, Transition
from conversion_relay.core.plan import PlannedDelivery
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.port import Disposition, NewEvent, Settlement
from conversion_relay.service.store.sqlite import SqliteStore, open_store

KEY = bytes(range(32))
NOW = datetime(2026, 1, 14, tzinfo=UTC)


def event(message_id: str) -> NewEvent:
    body = message_id.encode() * 20
    planned = PlannedDelivery("tiktok", "order", "web", "CompletePayment", message_id, body)
    return NewEvent(
        source="default",
        message_id=message_id,
        type="track",
        received_at=NOW,
        original=body,
        disposition=Disposition.PLANNED,
        deliveries=(planned,),
    )


async def append_for_ever(store: SqliteStore, names: Iterator[str], draw: random.Random) -> None:
    while True:
        batch = [next(names) for _ in range(draw.randint(1, 20))]
        await store.append([event(name) for name in batch])
        say(f"kept {name}" for name in batch)


async def settle_for_ever(store: SqliteStore, draw: random.Random) -> None:
    while True:
        claims = await store.claim("tiktok", draw.randint(1, 50), timedelta(seconds=60), NOW)
        transition = Transition(State.DELIVERED, Cause.ACCEPTED)
        await store.settle([Settlement(c.id, c.fence, transition) for c in claims], NOW)
        say(f"settled {claim.message_id}" for claim in claims)


def say(lines: Iterator[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


async def work(path: Path, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 (repeatable on purpose)
    store = await open_store(path, Sealer([KEY]))
    names = (f"{seed}-{number}" for number in count())
    appending = [append_for_ever(store, names, draw) for _ in range(8)]
    await asyncio.gather(*appending, settle_for_ever(store, draw))


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), int(sys.argv[2])))
