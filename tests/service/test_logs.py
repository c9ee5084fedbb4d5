"""Logs: one line of JSON for each decision, and no values out of libraries' complaints."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import orjson
import pytest
import structlog

from conversion_relay.service.logs import configure_logs, fault


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_a_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("json").info("webhook.kept", source="default", accepted=2)
    line = orjson.loads(capsys.readouterr().err)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "webhook.kept", "level": "info", "source": "default", "accepted": 2}


def test_libraries_do_not_leak_values(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("json")
    try:
        int("lena@example.com")
    except ValueError:
        logging.getLogger("library").exception("it broke for %s", "lena@example.com")
    shown = capsys.readouterr().err
    line = orjson.loads(shown)
    assert (line["library"], line["kind"]) == ("library", "ValueError")
    assert "lena" not in shown


class BrokenStream:
    """Standard error whose disk is full or whose reader went away."""

    def __init__(self) -> None:
        self.attempts = 0

    def write(self, _: str) -> int:
        """Fails."""
        self.attempts += 1
        raise BrokenPipeError

    def flush(self) -> None:
        """Never comes to it."""

    def isatty(self) -> bool:
        """A file."""
        return False


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_log_that_cannot_be_written_fails_nothing(
    monkeypatch: pytest.MonkeyPatch, log_format: str
) -> None:
    stream = BrokenStream()
    monkeypatch.setattr("sys.stderr", stream)
    log = configure_logs(log_format)
    log.info("webhook.kept")
    log.error("delivery.dead", **fault(ValueError("lena@example.com")))
    assert stream.attempts == 2


def test_a_fault_says_where_it_is_and_not_what_it_held() -> None:
    with pytest.raises(ValueError, match="lena") as caught:
        int("lena@example.com")
    described = fault(caught.value)
    assert described["kind"] == "ValueError"
    assert str(described["place"]).startswith("test_logs.py:")
    assert "lena" not in repr(described)
