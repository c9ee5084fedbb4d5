"""Looks after nodes and database as a supervisor does: tells of what is lost, and starts it again.

Ends nothing but what it started.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from conversion_relay.demo.cluster.node import Node
from conversion_relay.demo.cluster.traffic import Traffic
from conversion_relay.demo.postgres import Server
from conversion_relay.errors import RelayError

_LOOK_SECONDS: Final = 0.5
_DATABASE_PAUSE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Keeper:
    """Starts again what ended.

    Attributes:
        traffic: whose events were on their way.
        say: shows a line.
        pause_seconds: for which a lost node stays away, so that one sees the others do its work.
    """

    traffic: Traffic
    say: Callable[[str], None]
    pause_seconds: float = 15.0

    async def keep(self, node: Node) -> None:
        """Without end: whenever the node ends, it is started again."""
        while True:
            how = await node.ended()
            on_their_way = self.traffic.balance().missing
            self.say(
                f"{node.name} is lost ({how}); {len(on_their_way)} acknowledged events are on "
                f"their way. It is started again in {self.pause_seconds:g} s."
            )
            async with asyncio.TaskGroup() as group:
                group.create_task(self._tell_of_takeover(node.name, on_their_way))
                group.create_task(self._start_again(node))

    async def keep_database(self, server: Server) -> None:
        """Without end: whenever the server ends, it is started again."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if not server.is_running:
                self.say(
                    "PostgreSQL is lost: the nodes answer 503, and the shop posts again later. "
                    f"It is started again in {_DATABASE_PAUSE_SECONDS:g} s."
                )
                await asyncio.sleep(_DATABASE_PAUSE_SECONDS)
                with suppress(RelayError):  # its children may not have ended yet
                    await asyncio.to_thread(server.start)
                    self.say(f"PostgreSQL is back (pid {server.pid}).")

    async def _tell_of_takeover(self, name: str, on_their_way: frozenset[str]) -> None:
        """When everything that was on its way has arrived: what it had, the others sent."""
        began = asyncio.get_running_loop().time()
        await self.traffic.arrival(on_their_way)
        seconds = asyncio.get_running_loop().time() - began
        self.say(
            f"All that was on its way when {name} was lost has arrived, {seconds:.0f} s later: "
            "what it had claimed, others took over once its lease had run out."
        )

    async def _start_again(self, node: Node) -> None:
        await asyncio.sleep(self.pause_seconds)
        try:
            await node.start()
        except RelayError as error:
            self.say(f"{node.name} does not start: {str(error).splitlines()[-1]}")
            await node.stop()
        else:
            self.say(f"{node.name} runs again (pid {node.pid}).")
