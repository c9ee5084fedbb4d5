"""Every key with which something is sealed is at hand, or the store is not opened."""

from __future__ import annotations

from typing import Final

import asyncpg

from conversion_relay.errors import ConfigurationError, SealingError
from conversion_relay.service.sealing import Sealer, binding
from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.queries import QUERIES
from conversion_relay.service.store.postgres.versions import seal_anew

_PROOF: Final = b"this key sealed here"
_LOOK_SECONDS: Final = 60
_NEEDED: Final = (
    "the database holds data sealed with another key (id {}): give that key back, behind the one "
    "that is to seal from now on (RELAY_ENCRYPTION_KEY); it can be taken away once nothing sealed "
    "with it is kept any more"
)
_IN_USE: Final = (
    "a node that was here within the last 10 minutes seals with another key (id {}), and all "
    "nodes need the same RELAY_ENCRYPTION_KEY: give every node that key, or this one behind its "
    "own; "
    "where no node has it any more, stop them all, wait 10 minutes and start again"
)


async def require_keys(
    connection: Connection, sealer: Sealer, look_seconds: float = _LOOK_SECONDS
) -> None:
    """Every key with which something is sealed opens its proof; the one that seals gets one.

    Inside a transaction. Configurations are sealed anew, so that they need no older key.

    Args:
        connection: in a transaction, under the lock of the migrations.
        sealer: with the keys that are at hand.
        look_seconds: how long it may take to look for what a missing key sealed.

    Raises:
        ConfigurationError: a key is missing that sealed something which is still kept, or which
            nobody could rule out in that time, or with which a node may be sealing.
    """
    for key_id, proof, is_in_use in await connection.fetch(QUERIES["sealing_keys"]):
        try:
            sealer.open(proof, binding("proof", key_id))
        except SealingError as error:
            if await _is_needed(connection, key_id, look_seconds):
                raise ConfigurationError(_NEEDED.format(key_id)) from error
            if is_in_use:
                raise ConfigurationError(_IN_USE.format(key_id)) from error
            await connection.execute(QUERIES["forget_sealing_key"], key_id)
    proof = sealer.seal(_PROOF, binding("proof", sealer.key_id))
    await connection.execute(QUERIES["keep_sealing_key"], sealer.key_id, proof)
    await seal_anew(connection, sealer)


async def _is_needed(connection: Connection, key_id: str, look_seconds: float) -> bool:
    """Whether anything is sealed with this key; reads all of it, so only when a key is missing.

    What takes too long to look for counts as found.
    """
    named = bytes.fromhex(key_id)
    try:
        async with connection.transaction():
            await connection.execute(QUERIES["bounded"], f"{look_seconds * 1000:.0f}ms")
            needed: bool = await connection.fetchval(QUERIES["sealed_with"], named)
            await connection.execute(QUERIES["bounded"], "0")
    except asyncpg.QueryCanceledError:
        return True
    return needed
