"""Further keys of events in the ledger, and whose a key is. Knows no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.ledger import share
from conversion_relay.service.store.postgres.queries import QUERIES
from conversion_relay.service.store.postgres.texts import kept


@dataclass(frozen=True, slots=True)
class Alias:
    """Another key of an event; microseconds of its receipt."""

    source: str
    message_id: str
    received_at: int
    event: int


async def owners(
    connection: Connection, keys: Sequence[tuple[str, str]]
) -> tuple[int | None, ...]:
    """For each (source, messageId), in order, the event it belongs to, which may be gone."""
    message_ids = [kept(message_id) for _, message_id in keys]
    sources = [kept(source) for source, _ in keys]
    rows = await connection.fetch(QUERIES["owners_of_keys"], message_ids, sources)
    return tuple(event for (event,) in rows)


async def know_as(
    connection: Connection, aliases: Sequence[Alias]
) -> tuple[list[Alias], frozenset[int]]:
    """Those that were made, and the events whose key is another's, inside a transaction.

    No two of them have one key. From now on a copy that comes under such a key is a duplicate.
    """
    if not aliases:
        return [], frozenset()
    await share(connection)
    found = await owners(connection, [(one.source, one.message_id) for one in aliases])
    pairs = list(zip(aliases, found, strict=True))
    free = [one for one, owner in pairs if owner is None]
    rows = await connection.fetch(
        QUERIES["know_as"],
        [kept(one.message_id) for one in free],
        [kept(one.source) for one in free],
        [one.received_at for one in free],
        [one.event for one in free],
    )
    made = {event for (event,) in rows}
    overtaken = {one.event for one in free} - made
    taken = {one.event for one, owner in pairs if owner not in {None, one.event}}
    return [one for one in free if one.event in made], frozenset(overtaken | taken)


async def take_back(connection: Connection, aliases: Sequence[Alias]) -> None:
    """These were not needed, in the transaction that made them."""
    if aliases:
        await connection.execute(
            QUERIES["unknow_as"],
            [kept(one.message_id) for one in aliases],
            [kept(one.source) for one in aliases],
            [one.event for one in aliases],
        )
