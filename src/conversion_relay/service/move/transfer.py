"""The move itself: agrees with both ends, brings part after part, compares, and says it is done.

Each page and how far it is are kept together, so that whatever ends it, the same call goes on from
there. Knows both ends by their ports.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from conversion_relay.errors import ConfigurationError, RelayError
from conversion_relay.service.move.anew import CLOSED, Anew
from conversion_relay.service.move.parts import PARTS, Part
from conversion_relay.service.move.progress import MoveProgress
from conversion_relay.service.store.moving import MoveMark, MoveStanding, Origin, Target
from conversion_relay.service.store.subjects import Subjects

_TALLIED: Final = {
    "originals": "chunks of originals",
    "event_subjects": "chunks of hashes",
    "bodies": "bodies",
    "match_keys": "match keys",
}
"""Tables with other numbers of rows there than here, and what their counts are called."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What is in the new store.

    Attributes:
        counts: by kind, the same on both sides.
        closed: what could not be opened, by kind.
        was_done: an earlier call had finished it.
    """

    counts: Mapping[str, int]
    closed: Mapping[str, int]
    was_done: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """Moves all that is kept.

    Attributes:
        origin: the old store.
        target: the new one.
        place: what the new one is called, without password.
        new_name: draws a name for the old one.
        passed: is told of each part how many rows more are there.
    """

    origin: Origin
    target: Target
    place: str
    new_name: Callable[[], str]
    passed: Callable[[Part, int], None]

    async def count(self) -> Mapping[str, int]:
        """What would be moved; changes nothing.

        Raises:
            ConfigurationError: it cannot be moved there.
        """
        mark = self._mark()
        await self.target.standing(None if mark is None else mark.origin)
        return await asyncio.to_thread(self.origin.counts)

    async def run(self) -> Moved:
        """Move all, or what is left of it.

        Raises:
            ConfigurationError: it cannot be moved there.
            RelayError: it ended on the way, and can go on; or both ends differ in the end.
        """
        mark, standing = await self._agreed()
        progress = MoveProgress.of(standing.progress)
        if not standing.is_finished:
            await self._bring(mark, progress)
            counts = await self._compared(progress)
            await self.target.finish(mark.origin, self.origin.last_numbers)
        else:
            counts = await asyncio.to_thread(self.origin.counts)
        self.origin.set_mark(MoveMark(mark.origin, mark.place, is_finished=True))
        closed = {
            name.removeprefix(CLOSED): count
            for name, count in progress.tallies.items()
            if name.startswith(CLOSED)
        }
        return Moved(counts, closed, standing.is_finished)

    def _mark(self) -> MoveMark | None:
        mark = self.origin.mark()
        if mark is not None and mark.place != self.place:
            was = "was moved" if mark.is_finished else "is on its way"
            raise ConfigurationError(
                f"the old database {was} to {mark.place}: name that one, or give that move up "
                "with --undo"
            )
        return mark

    async def _agreed(self) -> tuple[MoveMark, MoveStanding]:
        """First the old store is served no more, then the new one takes something."""
        mark = self._mark()
        standing = await self.target.standing(None if mark is None else mark.origin)
        if mark is None:
            mark = MoveMark(self.new_name(), self.place)
            self.origin.set_mark(mark)
        if standing is None and mark.is_finished:
            raise ConfigurationError(
                f"the old database was moved already, but {self.place} holds nothing of it; to "
                "move it again, give that move up with --undo first"
            )
        if standing is None:
            await self.target.begin(mark.origin)
        return mark, standing or MoveStanding("")

    async def _bring(self, mark: MoveMark, progress: MoveProgress) -> None:
        rows = await asyncio.to_thread(self.origin.page, "ledger_slots", (-1,), len(PARTS))
        slots = {int(str(row[0])): number for number, row in enumerate(rows)}
        anew = Anew(
            self.origin.sealer, self.target.sealer, self.target.id_of, slots, progress.tallies
        )
        sealed = Subjects(self.origin.subject_key).sealed(self.target.sealer)
        await self.target.keep(mark.origin, {"subject_key": [(sealed,)]}, progress.text())
        for part in PARTS:
            if part.name not in progress.done:
                await self._bring_part(part, mark, progress, anew)

    async def _bring_part(
        self, part: Part, mark: MoveMark, progress: MoveProgress, anew: Anew
    ) -> None:
        while part.name not in progress.done:
            after = progress.after.get(part.name, part.before)
            rows = await asyncio.to_thread(self.origin.page, part.name, after, part.at_once)
            tables = await asyncio.to_thread(part.change, rows, anew) if rows else {}
            if rows:
                progress.after[part.name] = rows[-1][: len(part.before)]
            if len(rows) < part.at_once:
                progress.done.add(part.name)
            progress.tallies.update({table: len(found) for table, found in tables.items()})
            if tables:
                await self.target.keep(mark.origin, tables, progress.text())
            self.passed(part, len(rows))

    async def _compared(self, progress: MoveProgress) -> Mapping[str, int]:
        """The counts, the same on both sides."""
        here = await asyncio.to_thread(self.origin.counts)
        came = {words: progress.tallies[table] for table, words in _TALLIED.items()}
        expected = {name: count for name, count in {**here, **came}.items() if count}
        there = {name: count for name, count in (await self.target.counts()).items() if count}
        if expected != there:
            names = sorted(
                name for name in expected | there if expected.get(name, 0) != there.get(name, 0)
            )
            told = (f"{name}: {expected.get(name, 0)}, {there.get(name, 0)}" for name in names)
            raise RelayError(
                "the counts of the two databases differ, so that the new one is not served: "
                + "; ".join(told)
            )
        return expected
