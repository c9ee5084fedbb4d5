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
from contextlib import contextmanager
from functools import partial

import uvicorn
from typing_extensions import override

from conversion_relay import __version__
from conversion_relay.service.app import open_relay
from conversion_relay.service.canary.door import own_address
from conversion_relay.service.descriptors import room_for
from conversion_relay.service.http.edge.protocol import behind
from conversion_relay.service.listening import listen
from conversion_relay.service.logs import Log
from conversion_relay.service.relay import Relay
from conversion_relay.service.reload.steps import Start
from conversion_relay.service.reload.watching import Watch, reload_when

_GRACEFUL_STOP_SECONDS = 8
_LAST_RESORT_SECONDS = 13
_KEEP_ALIVE_SECONDS = 30


def run(start: Start, log: Log) -> None:
    """Runs the service until SIGTERM or SIGINT; a second one ends it at once.

    SIGHUP has it read its configuration again.

    Args:
        start: its configuration, and the files it is read from again.
        log: of the process.

    Raises:
        RelayError: it cannot start.
    """
    for doubt in start.candidate.warnings:
        log.warning("configuration.doubtful", warning=doubt)
    loop_factory = uvicorn.Config("", log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_serve(start, log))


async def _serve(start: Start, log: Log) -> None:
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
    settings = start.candidate.configuration.service
    with listen(settings.host, settings.port) as listener:
        async with open_relay(start.candidate.configuration, log, start=start) as relay:
            if relay.reloader is not None:
                await relay.reloader.begin(start)
                relay.background.append(Watch(relay.reloader, asyncio.sleep, log).run)
                relay.background.append(partial(reload_when, asked, relay.reloader, log))
            if relay.canary is not None:
                address = own_address(*listener.getsockname()[:2])
                relay.background.append(partial(relay.canary.run_at, address))
            async with relay.delivering():
                log.info(
                    "service.starting",
                    version=__version__,
                    host=settings.host,
                    port=settings.port,
                    sources=sorted(relay.configuration.sources),
                    destinations=sorted(relay.configuration.destinations),
                    database=settings.database_url,
                )
                relay.door.max_connections = room_for(settings.max_connections, log)
                await _Server(relay).serve(sockets=[listener])
                log.info("service.stopping")
        log.info("service.stopped")


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
