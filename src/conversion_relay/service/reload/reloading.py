"""Changes the configuration while the service runs: each step has to go well before it takes over.

One change at a time. Whatever goes wrong, what runs goes on. Every configuration that took effect
is kept, and can be taken back. With several nodes all of them have to be able to run it, and all
take it over. Knows files, trial, partner, nodes and service by their ports.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Final

from conversion_relay.errors import ConfigurationError
from conversion_relay.service.reload.agreeing import Agreement, behind
from conversion_relay.service.reload.book import Book
from conversion_relay.service.reload.candidate import Candidate, Files, of_this_node
from conversion_relay.service.reload.examination import examined
from conversion_relay.service.reload.restarts import start_only
from conversion_relay.service.reload.steps import (
    Answer,
    Ask,
    Ports,
    Refusal,
    Reloaded,
    Result,
    Start,
)
from conversion_relay.service.reload.telling import Telling, unreadable
from conversion_relay.service.reload.versions import difference
from conversion_relay.service.settings import ServiceSettings
from conversion_relay.service.store.history import VersionRecord
from conversion_relay.service.surroundings import Surroundings

_ROLLED_BACK: Final = (
    "the files still say the configuration that was rolled back; change them, or accept it"
)
_LEFT_ASIDE: Final = "the files here still say what ran before another node's; change or accept it"
_CANNOT_JOIN: Final = "this node cannot run version {}, which the other nodes run: {}"


@dataclass(slots=True)
class Reloader:
    """Changes the configuration of one service.

    Attributes:
        files: where it comes from.
        running: what is in effect.
        ports: what is asked of others.
        around: time, counters, log.
        agreement: with the other nodes; None: there are none.
        rolled_back: the fingerprint of what the files say, while another version runs instead.
        left_aside: the same, because another node changed what runs, and here the files did not.
        book: keeps what took effect.
        telling: says how changes ended.
    """

    files: Files
    running: Candidate
    ports: Ports
    around: Surroundings
    agreement: Agreement | None = None
    rolled_back: str | None = None
    left_aside: str | None = None
    book: Book = field(init=False)
    telling: Telling = field(init=False)
    _started: ServiceSettings = field(init=False)
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)
    _swapping: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        """Remembers what only a start can change."""
        self.book = Book(self.ports.history, self.around, self.agreement is not None)
        self.telling = Telling(self.around)
        self._started = self.running.configuration.service

    @property
    def version(self) -> int | None:
        """The number of the running configuration; None where it could not be kept."""
        return self.book.number

    @property
    def standing(self) -> Refusal | None:
        """The last refusal, until something is adopted or the files say what runs."""
        return self.telling.standing

    @property
    def needs_restart(self) -> tuple[str, ...]:
        """Settings that differ from those in effect until the next start."""
        return start_only(self._started, self.running.configuration.service)

    async def begin(self, start: Start) -> None:
        """Keeps the configuration of the start; tells where that is not what the files say.

        Where other nodes are, theirs is taken over: what the files say is a change of that.

        Raises:
            ConfigurationError: this node cannot run what the others run.
            StoreError: what was kept cannot be read.
        """
        if self.agreement is not None:
            await self.agreement.begin()
        newest = await self.book.newest()
        if newest is not None and start.lost is not None:
            reason = start.lost
            self.around.log.error("configuration.rollback_lost", version=newest.id, reason=reason)
        if newest is not None and newest.fingerprint == self.running.fingerprint:
            self.book.show(newest)
        elif newest and self.agreement and await self.agreement.others_are_here():
            await self._join(newest)
        else:
            await self.book.keep(self._record(Ask("start")))
        if start.problems:
            self._ended(Ask("start"), Reloaded(Result.REFUSED, problems=start.problems))
        elif start.kept is not None:
            self.rolled_back = start.kept.rolled_back
            self.around.log.warning("configuration.rolled_back", version=start.kept.id)

    async def reload(self, ask: Ask) -> Reloaded:
        """Has what the files say take effect, if it can."""
        async with self._one_at_a_time:
            try:
                candidate = await asyncio.to_thread(self.files.read, self.running)
            except ConfigurationError as error:
                return self._ended(ask, unreadable(error))
            if self.leaves_aside(candidate) and not ask.accept:
                told = _LEFT_ASIDE if self.rolled_back is None else _ROLLED_BACK
                return self._ended(ask, Reloaded(Result.UNCHANGED, warnings=(told,)))
            return await self._change(candidate, ask)

    async def take(self, candidate: Candidate, ask: Ask) -> Reloaded:
        """Has this configuration take effect, if it can."""
        async with self._one_at_a_time:
            return await self._change(candidate, ask)

    def refuse(self, error: ConfigurationError, ask: Ask) -> Reloaded:
        """Takes note that the files cannot be used; what stands already is not told again."""
        reloaded = unreadable(error)
        if self.telling.has_told(reloaded):
            return reloaded
        return self._ended(ask, reloaded)

    async def rollback(self, number: int, ask: Ask) -> Reloaded | None:
        """Has a version that was kept take effect again, if it can; None: there is none.

        It stays until the files say something else than now.

        Raises:
            StoreError: what was kept cannot be read.
        """
        async with self._one_at_a_time:
            version = await self.ports.history.version(number)
            if version is None:
                return None
            try:
                candidate = await self.restored(version.content, f"version {number}")
            except ConfigurationError as error:
                return self._ended(ask, unreadable(error))
            said = await self._said()
            aside = None if said == candidate.fingerprint else said
            return await self._change(candidate, replace(ask, rolled_back=aside))

    async def restored(self, content: str, name: str) -> Candidate:
        """What was kept or proposed, as this node would run it.

        Raises:
            ConfigurationError: it cannot.
        """
        candidate = await asyncio.to_thread(self.files.restored, content, name, self.running)
        own = self.running.configuration.service
        return candidate if self.agreement is None else of_this_node(candidate, own)

    async def follow(self, content: str, name: str) -> None:
        """Goes on with what all nodes agreed on; what the files here said until now is left aside.

        Raises:
            ConfigurationError: this node cannot run it.
        """
        candidate = await self.restored(content, name)
        said = await self._said()
        async with self._swapping:
            before = self.running
            await self.ports.adopt(candidate.configuration, candidate.targets)
            self.running = candidate
            known = {before.fingerprint, self.rolled_back, self.left_aside}
            is_old = said in known and said != candidate.fingerprint
            self.left_aside, self.rolled_back = said if is_old else None, None
            self.book.begin_anew()
        self._ended(Ask("agreement"), Reloaded(Result.ADOPTED, needs_restart=self.needs_restart))

    def leaves_aside(self, candidate: Candidate) -> bool:
        """Whether that is what the files say while something else is to run."""
        return candidate.fingerprint in {self.rolled_back, self.left_aside}

    def settle(self) -> None:
        """The files say what runs: nothing is refused any more."""
        self.telling.standing = self.left_aside = None

    async def _said(self) -> str:
        """The fingerprint of what the files say; of files that cannot be used, of what ran."""
        try:
            return (await asyncio.to_thread(self.files.read, self.running)).fingerprint
        except ConfigurationError:
            return self.rolled_back or self.running.fingerprint

    async def _change(self, candidate: Candidate, ask: Ask) -> Reloaded:
        running = self.running
        if candidate.is_like(running):
            self.rolled_back = self.rolled_back if ask.dry_run else ask.rolled_back
            return self._ended(ask, Reloaded(Result.UNCHANGED, warnings=candidate.warnings))
        known = await self._told_before(candidate, ask)
        if known is not None:
            return self._ended(ask, Reloaded(known[0], problems=known[1]))
        found = await examined(running, candidate, self.ports)
        result, problems = found.judged(ask)
        if result is Result.ADOPTED and not ask.dry_run:
            result, problems = await self._take_effect(candidate, ask, running)
        if result is not Result.ADOPTED and not ask.dry_run and ask.cause != "rollback":
            await self._leave_aside(candidate)
        reloaded = Reloaded(
            result,
            problems=problems,
            changes=found.changes,
            verified=found.verified,
            needs_restart=start_only(self._started, candidate.configuration.service),
            difference=difference(running.content, candidate.content),
            warnings=candidate.warnings,
        )
        return self._ended(ask, reloaded)

    async def _told_before(self, candidate: Candidate, ask: Ask) -> Answer | None:
        """What the nodes say of it already; somebody who asks for it has them say it again."""
        is_new = candidate.fingerprint != self.running.fingerprint
        if self.agreement is None or ask.cause != "file" or not is_new:
            return None
        return await self.agreement.told_before(candidate)

    async def _take_effect(self, candidate: Candidate, ask: Ask, examined: Candidate) -> Answer:
        """Adopts it, once all nodes can; secrets alone are each node's own."""
        async with self._swapping:
            if self.running is not examined:
                return behind()
            if self.agreement is not None and candidate.fingerprint != self.running.fingerprint:
                answer = await self.agreement.reach(candidate)
                if answer[0] is not Result.ADOPTED:
                    return answer
            await self._adopt(candidate, ask)
        return Result.ADOPTED, ()

    async def _adopt(self, candidate: Candidate, ask: Ask) -> None:
        await self.ports.adopt(candidate.configuration, candidate.targets)
        before, self.running = self.running, candidate
        self.rolled_back, self.left_aside = ask.rolled_back, None
        if candidate.fingerprint != before.fingerprint:
            self.book.begin_anew()
            await self.book.keep(self._record(ask))

    async def _join(self, newest: VersionRecord) -> None:
        """Begins with what the other nodes run."""
        try:
            candidate = await self.restored(newest.content, f"version {newest.id}")
        except ConfigurationError as error:
            raise ConfigurationError(_CANNOT_JOIN.format(newest.id, error)) from error
        await self.ports.adopt(candidate.configuration, candidate.targets)
        self.running = candidate
        self.book.show(newest)
        self.around.log.info("configuration.joined", version=newest.id)

    async def _leave_aside(self, candidate: Candidate) -> None:
        """Remembers it, so that it does not take effect by a restart either."""
        refused, kept = candidate.fingerprint, self.book.kept
        if refused == self.running.fingerprint or (kept and kept.refused == refused):
            return
        await self.book.keep(replace(kept or self._record(Ask("start")), refused=refused))

    def _record(self, ask: Ask) -> VersionRecord:
        running, since = self.running, self.around.clock()
        return VersionRecord(
            0, since, ask.cause, running.fingerprint, running.content, ask.rolled_back
        )

    async def keep_running(self) -> None:
        """Keeps what runs, which nobody else did."""
        async with self._one_at_a_time:
            if self.book.kept is None:
                await self.book.keep(self._record(Ask("agreement")))

    async def keep_again(self) -> None:
        """Keeps what could not be kept before.

        Raises:
            StoreError: it still cannot be.
        """
        async with self._one_at_a_time:
            await self.book.write()

    def _ended(self, ask: Ask, reloaded: Reloaded) -> Reloaded:
        return self.telling.ended(ask, reloaded, self.version)
