"""Several processes on this machine that serve one address, each of them a node of its own.

The first process takes the addresses, starts the others, starts one again that ends unasked, and
passes signals on. It handles no request and opens no database. Each of the others listens at the
shared address and at one of its own: there, answers are sure to be those of this one.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

from conversion_relay.errors import ConfigurationError, RelayError
from conversion_relay.service.listening import listen
from conversion_relay.service.logs import Log
from conversion_relay.service.serving import Post
from conversion_relay.service.settings import ServiceSettings
from conversion_relay.service.store.cluster import Role
from conversion_relay.service.stores import new_node_name

Serve: TypeAlias = Callable[[Post], None]
"""Serves at this post until it is told to stop."""
STOP_SECONDS: Final = 14.0
"""One process ends by itself within less."""
_SHORTEST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 30.0
_LIVED_SECONDS: Final = 60.0
"""Whoever lived so long did not fail at its start."""
_LOOK_SECONDS: Final = 5.0
_LAST_PORT: Final = 65535
_STOPS: Final = frozenset({signal.SIGTERM, signal.SIGINT})
_HANDLED: Final = frozenset({*_STOPS, signal.SIGHUP, signal.SIGCHLD})
_CANNOT_START: Final = 2


def run(settings: ServiceSettings, role: Role, count: int, serve: Serve, log: Log) -> None:
    """Runs so many processes until SIGTERM or SIGINT; comes back when all have ended.

    Args:
        settings: where they listen, and what the node is called.
        role: of each.
        count: how many.
        serve: what each of them does.
        log: of this process.

    Raises:
        RelayError: an address cannot be listened on.
    """
    if settings.port + count > _LAST_PORT:
        raise ConfigurationError(
            f"{count} processes need the ports from {settings.port} to {settings.port + count}; "
            f"the last there is has the number {_LAST_PORT}"
        )
    name = settings.node_name or new_node_name()
    with ExitStack() as stack:
        numbers = range(settings.port, settings.port + count + 1)
        shared, *own = [stack.enter_context(listen(settings.host, one)) for one in numbers]
        alive, end = os.pipe()
        stack.callback(os.close, alive)
        stack.callback(os.close, end)
        posts = [
            Post(role, (shared, socket), f"{name}-{number}", alive)
            for number, socket in enumerate(own, 1)
        ]
        log.info("processes.starting", node=name, processes=count, port=settings.port)
        with _signals_held() as before:
            _Family(posts, lambda post: _be_a_child(post, serve, (end, before)), log).run()
        log.info("processes.stopped", node=name)


def pause_seconds(failures: int) -> float:
    """How long to wait before a process is started again that ended unasked so often in a row."""
    return min(_SHORTEST_PAUSE_SECONDS * (1 << min(failures, 20)), _LONGEST_PAUSE_SECONDS)


@contextmanager
def _signals_held() -> Iterator[set[signal.Signals]]:
    """Has signals wait until they are asked for; gives what was held before."""
    for number in _HANDLED:
        signal.signal(number, lambda *_: None)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    try:
        yield {signal.Signals(number) for number in before}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _be_a_child(post: Post, serve: Serve, inherited: tuple[int, set[signal.Signals]]) -> int:
    """Serves; gives the exit status."""
    end, mask = inherited
    os.setpgid(0, 0)  # what a terminal sends reaches the first process, which passes it on
    os.close(end)
    for number in _HANDLED:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it listens to it
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        serve(post)
    except RelayError as error:
        sys.stderr.write(f"conversion-relay: {post.node}: {error}\n")
        return _CANNOT_START
    except BaseException:  # noqa: BLE001 - it must not go on as a second first process
        traceback.print_exc()
        return 1
    return 0


@dataclass(slots=True)
class _Child:
    """The place of a process.

    Attributes:
        post: where it serves.
        pid: of the process; None: there is none at present.
        due: when the next one is to be started, by a clock that never goes back.
        began: when the last one was.
        failures: how often in a row it ended soon.
    """

    post: Post
    pid: int | None = None
    due: float = 0.0
    began: float = 0.0
    failures: int = 0


class _Family:
    """The processes, as the first one sees them."""

    def __init__(self, posts: Sequence[Post], body: Callable[[Post], int], log: Log) -> None:
        self._children = [_Child(post) for post in posts]
        self._body = body
        self._log = log
        self._kill_at: float | None = None

    def run(self) -> None:
        """Keeps them running until they are to stop and have."""
        while True:
            self._start_those_due()
            self._kill_those_late()
            if self._kill_at is not None and not self._pids():
                return
            received = signal.sigtimedwait(_HANDLED, self._patience_seconds())
            if received is not None:
                self._obey(signal.Signals(received.si_signo))
            self._look_who_ended()

    def _pids(self) -> list[int]:
        return [child.pid for child in self._children if child.pid is not None]

    def _start_those_due(self) -> None:
        for child in self._children:
            if self._kill_at is None and child.pid is None and child.due <= time.monotonic():
                child.pid, child.began = self._forked(child.post), time.monotonic()

    def _forked(self, post: Post) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os._exit(self._body(post))
        return pid

    def _kill_those_late(self) -> None:
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            for pid in self._pids():
                os.kill(pid, signal.SIGKILL)

    def _patience_seconds(self) -> float:
        """Until something is to be done without a signal."""
        dues = [child.due for child in self._children if child.pid is None]
        if self._kill_at is not None:
            dues = [self._kill_at]
        soonest = min(dues, default=time.monotonic() + _LOOK_SECONDS) - time.monotonic()
        return min(max(soonest, 0.0), _LOOK_SECONDS)

    def _obey(self, number: signal.Signals) -> None:
        if number is signal.SIGCHLD:
            return
        if number in _STOPS and self._kill_at is None:
            self._kill_at = time.monotonic() + STOP_SECONDS
        for pid in self._pids():
            os.kill(pid, number)

    def _look_who_ended(self) -> None:
        for child in self._children:
            if child.pid is None:
                continue
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                self._ended(child, os.waitstatus_to_exitcode(status))

    def _ended(self, child: _Child, status: int) -> None:
        """One that was not to end is started again, later each time if it does not live long."""
        pid, child.pid = child.pid, None
        if self._kill_at is not None:
            return
        now = time.monotonic()
        child.failures = 0 if now - child.began >= _LIVED_SECONDS else child.failures + 1
        pause = pause_seconds(child.failures)
        child.due = now + pause
        self._log.error(
            "processes.one_ended",
            node=child.post.node,
            pid=pid,
            status=status,
            again_in_seconds=pause,
        )
