"""Several nodes that agree on configurations, each with files of its own, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import orjson
from typing_extensions import ParamSpec, override

from conversion_relay.service.metrics import Metrics
from conversion_relay.service.reload.agreeing import Agreement
from conversion_relay.service.reload.attending import Attendance
from conversion_relay.service.reload.candidate import Files
from conversion_relay.service.reload.reloading import Reloader
from conversion_relay.service.reload.starting import start_of
from conversion_relay.service.reload.steps import Ports
from conversion_relay.service.reload.watching import Watch
from conversion_relay.service.store.cluster import BEAT_SECONDS
from conversion_relay.service.store.history import VersionRecord
from conversion_relay.service.surroundings import Surroundings
from support.cluster import Commons, FakeCluster, standing
from support.lines import Lines
from support.reloads import Outer
from support.time import VirtualTime, Work, drive

_P = ParamSpec("_P")
_T = TypeVar("_T")
_MAPPINGS = [{"name": "Page", "subscribe": 'type = "page"', "mapping": {"event": "ViewContent"}}]
TOML = """
[service]
database_url = "postgresql://relay@127.0.0.1/relay"
encryption_key = "env:SEALING"
port = 8080
[sources.web]
bearer_tokens = ["env:BEARER"]
[destinations.us]
pixel_code = "PIXEL"
access_token = "env:TOKEN"
api_url = "http://127.0.0.1:9"
mappings = "MAPPINGS"
"""
ENVIRONMENT = {
    "SEALING": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "BEARER": "bearer",
    "TOKEN": "token",
}


class CountedThreads(ThreadPoolExecutor):
    """Threads whose work counts, so that no time passes meanwhile."""

    def __init__(self, work: Work) -> None:
        super().__init__(max_workers=2)
        self._work = work
        self._loop = asyncio.get_running_loop()

    @override
    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        given: Future[_T] = Future()
        going_on = self._work.going_on()
        going_on.__enter__()

        def finish(done: Future[_T]) -> None:
            """In the event loop: who waits is told before time may pass."""
            if given.set_running_or_notify_cancel():
                error = done.exception()
                if error is None:
                    given.set_result(done.result())
                else:
                    given.set_exception(error)
            self._loop.call_soon(going_on.__exit__, None, None, None)

        super().submit(fn, *args, **kwargs).add_done_callback(
            lambda done: self._loop.call_soon_threadsafe(finish, done)
        )
        return given


@dataclass
class Node:
    """One of them.

    Attributes:
        folder: with its TOML file.
    """

    name: str
    folder: Path
    cluster: FakeCluster
    reloader: Reloader
    outer: Outer
    log: Lines
    attendance: Attendance
    watch: Watch
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def pixel(self) -> str:
        """As it runs."""
        return self.reloader.running.configuration.destinations["us"].pixel_code

    @property
    def reasons(self) -> str:
        """Why what its files say is refused."""
        found = self.reloader.standing
        return "" if found is None else "; ".join(one.sentence for one in found.problems)

    async def end(self, *which: int) -> None:
        """Ends what runs of it, or those of its tasks: 0 beats, 1 attends, 2 watches."""
        ended = [self.tasks[number] for number in which] if which else self.tasks
        for task in ended:
            task.cancel()
        if ended:
            await asyncio.wait(ended)


class Company:
    """Several of them over one database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.time = VirtualTime()
        self.work = Work()
        self.commons = Commons(self.time, delay=0.01)
        self.kept: list[VersionRecord] = []
        self.nodes: list[Node] = []
        self.metrics = Metrics()
        (folder / "mappings.json").write_bytes(orjson.dumps(_MAPPINGS))
        asyncio.get_running_loop().set_default_executor(CountedThreads(self.work))

    def write(self, name: str, **changes: str) -> Path:
        """The file of a node: with another pixel, another place of the token, another port."""
        text = TOML.replace("MAPPINGS", str(self.folder / "mappings.json"))
        text = text.replace('"PIXEL"', f'"{changes.get("pixel", "PIXEL")}"')
        text = text.replace("env:TOKEN", changes.get("token", "env:TOKEN"))
        text = text.replace("8080", changes.get("port", "8080"))
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "new").write_text(text)
        (folder / "new").replace(folder / "relay.toml")
        return folder

    async def start(self, name: str, *, idle: bool = False, **environment: str) -> Node:
        """A node with the file that is there, or the usual one; `idle`: nothing of it runs."""
        folder = self.folder / name
        if not (folder / "relay.toml").exists():
            self.write(name)
        files = Files(ENVIRONMENT | environment, folder / "relay.toml")
        outer, log, cluster = Outer(kept=self.kept), Lines(), FakeCluster(self.commons, name)
        around = Surroundings(self.time, lambda: 0.0, Metrics(), log, self.time.sleep)
        ports = Ports(outer.adopt, outer.try_out, outer.verify, outer, outer.is_held)  # type: ignore[arg-type]
        begin = asyncio.create_task(start_of(files, outer.newest, strict=False))
        await drive(self.time, self.work, begin.done)
        start, agreement = await begin, Agreement(cluster, around)
        reloader = Reloader(files, start.candidate, ports, around, agreement)
        beginning = asyncio.create_task(reloader.begin(start))
        await drive(self.time, self.work, beginning.done)
        await beginning
        attendance = Attendance(reloader, agreement, around)
        watch = Watch(reloader, self.time.sleep, log)
        node = Node(name, folder, cluster, reloader, outer, log, attendance, watch)
        self.nodes.append(node)
        if not idle:
            works = (self._beat(node), attendance.run(), watch.run())
            node.tasks = [asyncio.create_task(work) for work in works]
            await self.run(0.5)
        return node

    async def run(self, seconds: float) -> None:
        """So much time passes."""
        alarm = asyncio.create_task(self.time.sleep(seconds))
        await drive(self.time, self.work, alarm.done)

    async def done(self, work: asyncio.Task[_T]) -> _T:
        """What this gives, however much time that takes."""
        await drive(self.time, self.work, work.done)
        return await work

    async def end(self) -> None:
        """Ends all of them."""
        for node in self.nodes:
            await node.end()

    @property
    def pixels(self) -> list[str]:
        """As they run."""
        return [node.pixel for node in self.nodes]

    @property
    def versions(self) -> list[int | None]:
        """As they show them."""
        return [node.reloader.version for node in self.nodes]

    async def _beat(self, node: Node) -> None:
        while True:
            with suppress(Exception):
                await node.cluster.beat(standing(self.time), self.time.now)
            await self.time.sleep(BEAT_SECONDS)
