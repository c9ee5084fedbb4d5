"""Which messageIds were seen: one table for each slot, unique over all of them. Knows no clock.

New ids go into the table of the current slot. Whoever writes there holds a lock that all share,
and whoever moves on to another slot holds it alone. So what was found in the other tables together
with the number of the current slot still holds as long as that slot is the current one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.queries import QUERIES
from conversion_relay.service.store.postgres.texts import kept

LEDGER_LOCK: Final = 0x52454C4159_03


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger said of some keys.

    Attributes:
        slot: the current one at that moment.
        positions: of the keys that were seen.
    """

    slot: int
    positions: frozenset[int]


async def look(connection: Connection, keys: Sequence[tuple[str, str]]) -> Known:
    """Which of these (source, messageId) were seen, outside of a transaction or inside one."""
    sources = [kept(source) for source, _ in keys]
    message_ids = [kept(message_id) for _, message_id in keys]
    ((slot, positions),) = await connection.fetch(QUERIES["look"], message_ids, sources)
    return Known(slot, frozenset(positions))


async def share(connection: Connection) -> None:
    """Keep the current slot where it is until the end of the transaction."""
    await connection.execute(QUERIES["lock_ledger_shared"], LEDGER_LOCK)


async def events_of(connection: Connection, message_ids: Sequence[str]) -> list[int]:
    """The ids of the events with these messageIds, whatever their source; some may be gone."""
    asked = [kept(message_id) for message_id in message_ids]
    found: list[int] = await connection.fetchval(QUERIES["events_known_as"], asked)
    return found
