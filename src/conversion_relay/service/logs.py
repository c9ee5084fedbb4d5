"""Logs: one line for each decision, with a stable event name and ids, never personal data.

Knows nothing of what is logged. `json` is for machines, `console` for people; `auto` picks by
whether a terminal reads along.
"""

from __future__ import annotations

import logging
import sys
from typing import Final, Protocol, cast

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


def configure_logs(log_format: str) -> Log:
    """The log of the process, written to standard error."""
    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    renderer = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    log = cast("Log", structlog.get_logger())
    logging.basicConfig(handlers=[_Libraries(log)], level=logging.WARNING, force=True)
    return log


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
