"""docs/operations.md names every path, problem, log event and fault there is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

from starlette.routing import Route

from architecture.pages import ROOT, column, page, plain, section, table, tables
from conversion_relay.core.delivery import LIFE, Cause, State
from conversion_relay.core.lane import Condition
from conversion_relay.sandbox import KINDS, TRACK_PATH
from conversion_relay.sandbox.control import Control
from conversion_relay.sandbox.faults import FaultBoard
from conversion_relay.sandbox.journal import MAX_REQUESTS, Journal
from conversion_relay.sandbox.ledger import Ledger
from conversion_relay.service.app import open_relay
from conversion_relay.service.configuration import load
from conversion_relay.service.http.admin.masking import SHOWN
from support.lines import Lines
from support.running import environment

PAGE = page("docs/operations.md")
SERVICE = ROOT / "src" / "conversion_relay" / "service"
_LEVELS = {"info", "warning", "error"}
_EVENT = re.compile(r"[a-z]+\.[a-z_]+")


async def test_every_path_of_the_service_is_described(tmp_path: Path) -> None:
    configuration = load(environment(tmp_path, "http://127.0.0.1:9"))
    async with open_relay(configuration, Lines()) as relay:
        paths = {
            (route.path.rstrip("/") or "/", method)
            for route in _routes(relay.http.routes)
            for method in (route.methods or set()) - {"HEAD"}
        }
    assert _described("## HTTP paths") == paths


def test_every_path_of_the_sandbox_is_described() -> None:
    control = Control(Ledger(), Journal(), FaultBoard(Random(0)))  # noqa: S311 - draws nothing
    paths = {
        (route.path, method)
        for route in control.routes()
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert _described("## The sandbox") == paths | {(TRACK_PATH, "POST")}
    assert f"the last {MAX_REQUESTS:,} requests" in PAGE


def _routes(routes: object) -> Iterator[Route]:
    assert isinstance(routes, list)
    for route in routes:
        if isinstance(route, Route):
            yield route
        elif hasattr(route, "original_router"):
            yield from _routes(route.original_router.routes)


def _described(heading: str) -> set[tuple[str, str]]:
    rows = table(PAGE, heading)
    return {
        (path, method)
        for path, methods in zip(column(rows), column(rows, 1), strict=True)
        for method in methods.split(", ")
    }


def test_every_fault_is_described() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", section(PAGE, "## The sandbox"), re.MULTILINE)
    assert rows == list(KINDS)


def test_the_life_of_a_delivery_is_the_table_of_the_core() -> None:
    states, moves = re.findall(
        r"((?:^\|.*\n)+)", section(PAGE, "## The life of a delivery"), re.MULTILINE
    )[:2]
    assert re.findall(r"^\| `(\w+)` \|", states, re.MULTILINE) == [one.value for one in State]
    found = {
        ((before or None) and State(before), Cause(cause)): State(after)
        for befores, cause, after in re.findall(
            r"^\| (.+?) \| `(\w+)` \| `(\w+)` \|", moves, re.MULTILINE
        )
        for before in re.findall(r"`(\w+)`", befores) or [""]
    }
    assert found == LIFE


def test_every_condition_of_a_lane_is_described() -> None:
    rows = column(table(PAGE, "### Lanes"))
    assert rows == [one.value for one in Condition]


def test_every_log_event_is_described() -> None:
    assert set(column(table(PAGE, "## Log"))) == set(_log_events())


def _log_events() -> Iterator[str]:
    """The first arguments of calls that log, and those kept in tables."""
    for file in sorted(SERVICE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and _logs(node.func):
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value
            elif isinstance(node, ast.Dict):
                yield from _named_events(node)


def _logs(function: ast.expr) -> bool:
    if isinstance(function, ast.Attribute):
        return function.attr in _LEVELS
    return isinstance(function, ast.Name) and function.id in {"level", "write"}


def _named_events(node: ast.Dict) -> Iterator[str]:
    """Those in a table; what has a `type` is a message of ASGI."""
    if any(isinstance(key, ast.Constant) and key.value == "type" for key in node.keys):
        return
    for value in node.values:
        text = value.value if isinstance(value, ast.Constant) else None
        if isinstance(text, str) and _EVENT.fullmatch(text):
            yield text


def test_every_problem_is_described() -> None:
    known = set(_problem_slugs()) | {"not-found", "method-not-allowed"}
    assert set(column(table(PAGE, "### Problems"))) == known


def _problem_slugs() -> Iterator[str]:
    for file in sorted(SERVICE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "Problem":
                slug = node.args[1]
                if isinstance(slug, ast.Constant) and isinstance(slug.value, str):
                    yield slug.value


def test_every_value_that_is_not_masked_is_named() -> None:
    rows = tables(section(PAGE, "### What is masked"))[0]
    named = {plain(place): re.findall(r"`([^`]+)`", keys) for place, keys in rows}
    shown = {".".join(place) or "the top": list(keys) for place, keys in SHOWN.items()}
    assert named == shown
