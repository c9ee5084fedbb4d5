"""Logs: one line of JSON for each decision, and no values out of libraries' complaints."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import orjson
import pytest
import structlog

from conversion_relay.service.logs import configure_logs


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
