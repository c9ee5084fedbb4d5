"""An open database: what its parts share. Knows no table."""

from __future__ import annotations

from dataclasses import dataclass

from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.postgres.connections import COMMAND_SECONDS, Connections
from conversion_relay.service.store.postgres.pools import Dial


@dataclass(frozen=True, slots=True)
class Database:
    """An open database, as one node has it.

    Attributes:
        hot: connections for events and deliveries.
        slow: the same for questions that may take long.
        sealer: with every key.
        node: what this node is called among the others.
        dial: makes a connection to hear the others by; None: they cannot be heard.
    """

    hot: Connections
    slow: Connections
    sealer: Sealer
    node: str
    dial: Dial | None = None

    async def close(self) -> None:
        """Finish what is under way of events and deliveries, and let go of it."""
        await self.hot.close(COMMAND_SECONDS)
        await self.slow.close()
