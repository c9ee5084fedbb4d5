"""Logs: one line for each decision, with a stable event name and ids, never personal data.

Knows nothing of what is logged. `json` is for machines, `console` for people; `auto` picks by
whether a terminal reads along.
"""

from __future__ import annotations

import logging
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol, cast

import orjson
import structlog
from typing_extensions import override

_LONGEST_MESSAGE: Final = 200


class Log(Protocol):
    """What the service asks of a log: an event's name and what goes with it."""

    def info(self, event: str, **details: object) -> None:
        """An ordinary decision."""
        ...

    def warning(self, event: str, **details: object) -> None:
        """Something that needs no one at once."""
        ...

    def error(self, event: str, **details: object) -> None:
        """Something that needs someone."""
        ...


def fault(error: Exception) -> dict[str, object]:
    """What a line says of a fault of ours: its kind and place; its text may hold values."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else None
    return {"kind": type(error).__name__, "place": place}


def configure_logs(log_format: str, process: str | None = None) -> Log:
    """The log of the process, written to standard error.

    Args:
        log_format: `json`, `console` or `auto`.
        process: what every line names, where several processes write to one place.
    """
    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    renderer = (
        structlog.processors.JSONRenderer(_json_line)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=_Lines,
        cache_logger_on_first_use=True,
    )
    always = {} if process is None else {"process": process}
    log = cast("Log", structlog.get_logger(**always))
    logging.basicConfig(handlers=[_Libraries(log)], level=logging.WARNING, force=True)
    return log


def _json_line(line: object, **_: object) -> str:
    return orjson.dumps(line, default=str).decode()


class _Lines:
    """Writes lines to standard error; one that cannot be written is lost, and nothing else.

    A full disk under the log, or a collector that went away, must not fail a request or a
    delivery.
    """

    def __init__(self, *_: object) -> None:
        self._stream = sys.stderr

    def msg(self, line: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(f"{line}\n")
            self._stream.flush()

    info = warning = error = msg


class _Libraries(logging.Handler):
    """What libraries log: whose it is and the kind of fault, since their texts may hold values."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    @override
    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0] if record.exc_info else None
        write = self._log.error if record.levelno >= logging.ERROR else self._log.warning
        write(
            "library.complained",
            library=record.name,
            message=str(record.msg).partition("\n")[0][:_LONGEST_MESSAGE],
            kind=None if kind is None else kind.__name__,
        )
