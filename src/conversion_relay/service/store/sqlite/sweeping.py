"""Keeping house: the order of the steps, and which thread does which. Knows no clock.

Looking and removing happen on the writer's thread, in transactions of some milliseconds; originals
are opened and sealed again elsewhere.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from functools import partial

from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.originals import thin_all
from conversion_relay.service.store.port import Retention, Swept
from conversion_relay.service.store.rounds import Round, round_at
from conversion_relay.service.store.sqlite import ageing, clock, ledger, memory, removal
from conversion_relay.service.store.sqlite.reader import Reader
from conversion_relay.service.store.sqlite.writer import Writer


class Sweeping:
    """Removes what is too old, a step at a time; remembers where the last step ended."""

    def __init__(self, writer: Writer, reader: Reader, sealer: Sealer) -> None:
        self._writer = writer
        self._reader = reader
        self._sealer = sealer
        self._round: Round | None = None

    async def step(self, retention: Retention, now: datetime) -> Swept:
        """The first of what there is to do.

        Times that lie ahead, events, their bytes, match keys, the history, old ids, pages.
        """
        if not await self._writer.call(partial(clock.pull_back, now=now)):
            return Swept(is_done=False)
        swept = await self._remove(retention, now)
        if swept.is_done:
            swept = swept.then(await self._thin())
        if swept.is_done:
            swept = swept.then(await self._writer.call(partial(memory.expire, now=now)))
        if swept.is_done:
            age = partial(ageing.age, retention=retention, now=now)
            swept = swept.then(await self._writer.call(age))
        if swept.is_done:
            forget = partial(ledger.forget, retention=retention.ledger, now=now)
            swept = swept.then(await self._writer.call(forget))
        if swept.is_done:
            swept = swept.then(await self._writer.call(removal.give_back))
        return swept

    async def _remove(self, retention: Retention, now: datetime) -> Swept:
        so_far = round_at(now, self._round)
        work = partial(removal.remove_outlived, retention=retention, now=now, so_far=so_far)
        swept, self._round = await self._writer.call(work)
        return swept

    async def _thin(self) -> Swept:
        chunks = await self._reader.run(removal.to_thin)
        if not chunks:
            return Swept()
        results = await asyncio.to_thread(thin_all, chunks, self._sealer)
        await self._writer.call(partial(removal.keep_thinned, results=results))
        return Swept(is_done=False)
