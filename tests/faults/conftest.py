"""How large the fault suite is run, and where its figures go: one line for each row.

RELAY_TEST_FAULTS says how large: `quick` (kills and stops alone, in seconds: what `make test`
runs), `short` (minutes, what CI runs) or `full` (what the promise says). Rows are numbered as in
docs/architecture.md.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Protocol

import pytest

from faults.availability import Availability
from faults.process import end_all

_LONGEST_SECONDS: Final = {"quick": 120, "short": 600, "full": 2_400}
_FIGURES: Final = "figures of a row"
_QUICK: Final = frozenset(
    {"test_service_kill.py", "test_store_kill.py", "test_stop.py", "test_duplicates.py"}
)
"""What `quick` is; all else waits for `make test-faults`."""


class Report(Protocol):
    """Writes the figures of a row to the terminal."""

    def __call__(self, row: int, text: str) -> None:
        """The row of the table, and its figures, whatever becomes of the test afterwards."""
        ...


@pytest.fixture(autouse=True)
async def _nothing_is_left_running() -> AsyncIterator[None]:
    yield
    await end_all()


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """See Report; the line also comes under -q and from a worker of xdist."""

    def write(row: int, text: str) -> None:
        request.node.user_properties.append((_FIGURES, f"row {row:>2}  {text}"))

    return write


@pytest.fixture(scope="session")
def availability() -> Availability:
    """How the ingest looked to Segment over all rows of the cluster."""
    return Availability()


def size_of(short: int, full: int, quick: int | None = None) -> int:
    """The number for a run of this size; `quick` is as `short` unless it is given."""
    return {"quick": short if quick is None else quick, "short": short, "full": full}[_size()]


def _size() -> str:
    chosen = os.environ.get("RELAY_TEST_FAULTS") or "quick"
    if chosen not in _LONGEST_SECONDS:
        known = ", ".join(_LONGEST_SECONDS)
        raise pytest.UsageError(f"RELAY_TEST_FAULTS is one of {known}, not {chosen!r}")
    return chosen


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives each test here the time that a run of this size needs."""
    here, seconds = Path(__file__).parent, _LONGEST_SECONDS[_size()]
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.timeout(seconds))
            if _size() == "quick" and item.path.name not in _QUICK:
                item.add_marker(pytest.mark.skip(reason="takes its time: make test-faults"))


class _Lines:
    """Writes the lines of a test as soon as it has ended."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.when != "call" or terminal is None:
            return
        for name, text in report.user_properties:
            if name == _FIGURES:
                terminal.ensure_newline()
                terminal.write_line(str(text))


def pytest_configure(config: pytest.Config) -> None:
    """Has the lines written."""
    config.pluginmanager.register(_Lines(config), _FIGURES)
