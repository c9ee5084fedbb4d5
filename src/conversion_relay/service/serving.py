"""Runs the service as a process: listens, serves, and stops on a signal.

Within 15 seconds of the first signal it has ended, whatever clients and partners do: requests
under way and batches on their way to a partner get their time side by side, then the store is
closed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from socket import socket

import uvicorn
from typing_extensions import override

from conversion_relay import __version__
from conversion_relay.errors import ConfigurationError
from conversion_relay.service.app import open_relay
from conversion_relay.service.canary.door import own_address
from conversion_relay.service.descriptors import room_for
from conversion_relay.service.http.edge.protocol import behind
from conversion_relay.service.listening import listen, shown_address
from conversion_relay.service.logs import Log
from conversion_relay.service.place import beside
from conversion_relay.service.relay import Relay
from conversion_relay.service.reload.steps import Start
from conversion_relay.service.reload.watching import Watch, reload_when
from conversion_relay.service.settings import Configuration, ServiceSettings
from conversion_relay.service.store.cluster import Role

_GRACEFUL_STOP_SECONDS = 8
_LAST_RESORT_SECONDS = 13
_KEEP_ALIVE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Post:
    """Where a process serves, and as what.

    Attributes:
        role: what it does of the work.
        sockets: at which it listens, its own last; empty: at the address of the settings.
        node: what it is called among the nodes; None: what the settings say.
        parent: a pipe that ends with the process that started this one; None: nobody's.
    """

    role: Role = Role.ALL
    sockets: tuple[socket, ...] = ()
    node: str | None = None
    parent: int | None = None


def require_several(settings: ServiceSettings, role: Role, processes: int) -> None:
    """Refuse what only several nodes can do where one process owns the database.

    Raises:
        ConfigurationError: saying why.
    """
    if settings.database_path is None:
        return
    if role is not Role.ALL:
        raise ConfigurationError(
            f"--role {role.value}: with sqlite:/// one process owns the database and does all of "
            "the work; roles need a database that several nodes share (postgresql://)"
        )
    if processes > 1:
        raise ConfigurationError(
            f"--processes {processes}: with sqlite:/// one process owns the file, and two are "
            "slower than one; several need a database that they can share (postgresql://)"
        )


def run(start: Start, log: Log, post: Post | None = None) -> None:
    """Runs the service until SIGTERM or SIGINT; a second one ends it at once.

    SIGHUP has it read its configuration again.

    Args:
        start: its configuration, and the files it is read from again.
        log: of the process.
        post: where it serves, and as what.

    Raises:
        RelayError: it cannot start.
    """
    for doubt in start.candidate.warnings:
        log.warning("configuration.doubtful", warning=doubt)
    loop_factory = uvicorn.Config("", log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_serve(start, log, post or Post()))


async def _serve(start: Start, log: Log, post: Post) -> None:
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
    configuration = _named(start.candidate.configuration, post.node)
    settings = configuration.service
    with ExitStack() as stack:
        sockets = post.sockets or (stack.enter_context(listen(settings.host, settings.port)),)
        own = sockets[-1].getsockname()
        async with open_relay(configuration, log, start=start, role=post.role) as relay:
            relay.address = shown_address(settings.host, own[1])
            if relay.reloader is not None:
                await relay.reloader.begin(start)
                relay.background.append(Watch(relay.reloader, asyncio.sleep, log).run)
                relay.background.append(partial(reload_when, asked, relay.reloader, log))
            if relay.canary is not None:
                relay.background.append(partial(relay.canary.run_at, own_address(*own[:2])))
            async with relay.delivering():
                _say_what_starts(relay, settings, log)
                relay.door.max_connections = room_for(settings.max_connections, log)
                with _ended_with(post.parent):
                    await _Server(relay).serve(sockets=list(sockets))
                log.info("service.stopping")
        log.info("service.stopped")


def _named(configuration: Configuration, node: str | None) -> Configuration:
    """With this name among the nodes; one of several processes has a spool of its own too."""
    if node is None:
        return configuration
    spool = configuration.service.spool
    own = None if spool is None else beside(spool, f"-{node.rpartition('-')[2]}")
    service = configuration.service.model_copy(update={"node_name": node, "spool": own})
    return configuration.model_copy(update={"service": service})


def _say_what_starts(relay: Relay, settings: ServiceSettings, log: Log) -> None:
    cluster = relay.store.cluster
    log.info(
        "service.starting",
        version=__version__,
        host=settings.host,
        port=settings.port,
        sources=sorted(relay.configuration.sources),
        destinations=sorted(relay.configuration.destinations),
        database=settings.database_url,
        node=None if cluster is None else cluster.node,
        role=relay.role.value,
        address=relay.address,
    )


@contextmanager
def _ended_with(parent: int | None) -> Iterator[None]:
    """Stops this process as a signal would once the one that started it is gone."""
    if parent is None:
        yield
        return
    loop = asyncio.get_running_loop()

    def stop() -> None:
        loop.remove_reader(parent)
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(parent, stop)
    try:
        yield
    finally:
        loop.remove_reader(parent)


class _Server(uvicorn.Server):
    """Stops on the first signal and comes back, so that workers and store are closed after it.

    uvicorn's own handling raises the signal again once it has stopped, which ends the process
    before them.
    """

    def __init__(self, relay: Relay) -> None:
        super().__init__(
            uvicorn.Config(
                relay.http,
                http=behind(relay.door),
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                lifespan="off",
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_GRACEFUL_STOP_SECONDS,
            )
        )
        self._relay = relay

    @override
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number)
        yield

    def _stop(self, number: int) -> None:
        if self.should_exit:
            os._exit(128 + number)  # what was acknowledged is on the disk
        self.should_exit = True
        self._relay.stop()
        # A name that does not resolve or a file that does not open would keep a thread, and that
        # the process. By then everything is on the disk.
        last_resort = threading.Timer(_LAST_RESORT_SECONDS, os._exit, (0,))
        last_resort.daemon = True
        last_resort.start()
