"""A reloader over real files, with fakes for everything that it asks of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import orjson

from conversion_relay.core.delivery import State
from conversion_relay.core.destination import Verdict
from conversion_relay.core.plan import Target
from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.reload.candidate import Candidate, Files
from conversion_relay.service.reload.comparison import Comparison
from conversion_relay.service.reload.reloading import Reloader
from conversion_relay.service.reload.starting import start_of
from conversion_relay.service.reload.steps import Ports
from conversion_relay.service.reload.trial import Trial
from conversion_relay.service.reload.verification import Answered, Verified
from conversion_relay.service.reload.watching import Watch
from conversion_relay.service.settings import Configuration, ServiceSettings
from conversion_relay.service.store.history import VersionRecord, Waiting
from conversion_relay.service.surroundings import Surroundings
from support.changing import TOML, write_files
from support.lines import Lines
from support.time import VirtualTime

API_URL = "http://127.0.0.1:9"
_MAPPINGS = [{"name": "Page", "subscribe": 'type = "page"', "mapping": {"event": "ViewContent"}}]


@dataclass(slots=True)
class Outer:
    """Implements what a reloader asks of others, and keeps the versions.

    Attributes:
        adopted: configurations, in order.
        objections: of every trial from now on.
        verdict: of every destination that is asked about.
        asked: destinations that were asked about, a list for each time.
        waiting_for: destinations for which deliveries wait.
        held: destinations whose lane is held.
        kept: versions, oldest first.
        is_full: nothing more can be kept.
    """

    adopted: list[Configuration] = field(default_factory=list)
    objections: tuple[str, ...] = ()
    verdict: Verdict = Verdict.SOUND
    asked: list[list[str]] = field(default_factory=list)
    waiting_for: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    kept: list[VersionRecord] = field(default_factory=list)
    is_full: bool = False

    async def adopt(self, configuration: Configuration, targets: tuple[Target, ...]) -> None:
        """Goes on with it."""
        assert [one.name for one in targets] == [*configuration.destinations]
        self.adopted.append(configuration)

    async def try_out(self, running: Candidate, candidate: Candidate) -> Trial:
        """Objects as it was told to."""
        assert not running.is_like(candidate)
        return Trial(0, 0, 0, 0, ("a change",), self.objections, Comparison())

    async def verify(self, candidate: Candidate, names: Sequence[str]) -> Verified:
        """Answers as it was told to."""
        assert set(names) <= candidate.configuration.destinations.keys()
        self.asked.append(sorted(names))
        return Verified(tuple(Answered(name, self.verdict, "it answers") for name in names))

    def is_held(self, destination: str) -> bool:
        """Whether its lane is."""
        return destination in self.held

    async def waiting(self) -> Sequence[Waiting]:
        """Two deliveries of each."""
        return [Waiting(name, State.PENDING, 2, None) for name in sorted(self.waiting_for)]

    async def keep_version(self, version: VersionRecord) -> int:
        """Keeps it, unless it is full."""
        if self.is_full:
            raise StoreUnavailable("the disk is full")
        if version.id:
            self.kept[version.id - 1] = version
            return version.id
        self.kept.append(replace(version, id=len(self.kept) + 1))
        return len(self.kept)

    async def newest(self, _: ServiceSettings) -> VersionRecord | None:
        """The one kept last."""
        return self.kept[-1] if self.kept else None

    async def versions(self, limit: int) -> Sequence[VersionRecord]:
        """The newest first."""
        return self.kept[::-1][:limit]

    async def version(self, number: int) -> VersionRecord | None:
        """The one with this number."""
        return self.kept[number - 1] if 0 < number <= len(self.kept) else None


@dataclass(slots=True)
class Desk:
    """A reloader and its files."""

    folder: Path
    files: Files
    reloader: Reloader
    watch: Watch
    outer: Outer
    log: Lines
    time: VirtualTime

    def toml(self, old: str, new: str) -> None:
        """The usual file, with something else in a place of it."""
        assert old in TOML
        write_files(self.folder, API_URL, TOML.replace(old, new))

    def token(self, text: str) -> None:
        """Another token in its file."""
        (self.folder / "token").write_text(text)

    async def look(self, times: int = 2) -> None:
        """The watch looks so often."""
        for _ in range(times):
            await self.watch.look()

    @property
    def pixel(self) -> str:
        """Of the second destination, as it runs."""
        return self.reloader.running.configuration.destinations["us"].pixel_code


async def desk(folder: Path, outer: Outer | None = None) -> Desk:
    """One that has begun."""
    (folder / "mappings.json").write_bytes(orjson.dumps(_MAPPINGS))
    files, log, time = write_files(folder, API_URL), Lines(), VirtualTime()
    return await begun(folder, files, outer or Outer(), log, time)


async def begun(folder: Path, files: Files, outer: Outer, log: Lines, time: VirtualTime) -> Desk:
    """The same with files that are there."""
    around = Surroundings(time, lambda: 0.0, Metrics(), log, time.sleep)
    ports = Ports(outer.adopt, outer.try_out, outer.verify, outer, outer.is_held)  # type: ignore[arg-type]
    start = await start_of(files, outer.newest, strict=False)
    reloader = Reloader(files, start.candidate, ports, around)
    await reloader.begin(start)
    return Desk(folder, files, reloader, Watch(reloader, time.sleep, log), outer, log, time)


def since(desk: Desk) -> datetime:
    """Since when something is refused."""
    assert desk.reloader.standing is not None
    return desk.reloader.standing.since
