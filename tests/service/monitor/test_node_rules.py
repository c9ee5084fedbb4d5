"""Each rule about nodes by table: what opens it, and what is not enough."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from conversion_relay.service.alerting.alert import SERVICE
from conversion_relay.service.monitor.figures import (
    Company,
    NodeFigures,
    SpoolFigures,
    StoreFigures,
)
from conversion_relay.service.monitor.node_rules import NODE_RULES
from conversion_relay.service.monitor.view import Rule, View
from conversion_relay.service.store.history import Strain
from service.monitor.examples import rule, view

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
A, B = NodeFigures("a", configuration="one"), NodeFigures("b", configuration="one")
LOST = replace(B, is_here=False, silent_for=MINUTE)


def _of(*nodes: NodeFigures, spool: SpoolFigures | None = None) -> View:
    """What the node a sees."""
    return view(company=Company("a", nodes), spool=spool or SpoolFigures())


def _strained(length: timedelta, holder: str | None = None) -> View:
    return view(store=StoreFigures(strain=Strain(length, holder)))


OPENS: dict[str, list[tuple[View, str]]] = {
    "node_cut_off": [(view(company=Company("a", cut_off_for=30 * SECOND)), "a")],
    "node_lost": [
        (_of(A, LOST), "b"),
        (_of(A, LOST, NodeFigures("c", runs_for=2 * MINUTE)), "b"),
        (_of(A, LOST, NodeFigures("c", "ingest", runs_for=SECOND)), "b"),
        (_of(replace(A, runs_for=SECOND), LOST, replace(LOST, name="c")), "c"),
        (_of(A, replace(LOST, spool=SpoolFigures(3))), "b"),
    ],
    "spool_waiting": [
        (view(spool=SpoolFigures(1, 100, 121 * SECOND)), SERVICE),
        (_of(A, B, spool=SpoolFigures(5, 100, HOUR := timedelta(hours=1))), "a"),
        (_of(A, replace(B, spool=SpoolFigures(1, 1, HOUR))), "b"),
    ],
    "old_transaction": [
        (_strained(5 * MINUTE, "the standby “b”"), SERVICE),
        (_strained(6 * MINUTE), SERVICE),
    ],
    "clocks_apart": [
        (_of(A, replace(B, clock_offset=6 * SECOND)), "b"),
        (_of(replace(A, clock_offset=-6 * SECOND), B), "a"),
    ],
    "configurations_differ": [(_of(A, replace(B, configuration="another")), SERVICE)],
}

NOT_ENOUGH: dict[str, list[View]] = {
    "node_cut_off": [
        view(),
        _of(A, B),
        view(company=Company("a", is_known=False, cut_off_for=29 * SECOND)),
    ],
    "node_lost": [
        view(),
        _of(A, B),
        _of(A, LOST, NodeFigures("c", runs_for=30 * SECOND)),
        _of(A, replace(LOST, role="deliver"), NodeFigures("c", runs_for=30 * SECOND)),
        _of(replace(A, is_here=False), B),  # itself: it is here, whatever its row says
    ],
    "spool_waiting": [
        view(spool=SpoolFigures(1, 100, 120 * SECOND)),
        _of(A, replace(B, spool=SpoolFigures(1, 100, MINUTE))),
        _of(replace(A, spool=SpoolFigures(9, 9, HOUR)), B),  # an older word of its own
        _of(A, replace(LOST, spool=SpoolFigures(9, 9, HOUR))),
    ],
    "old_transaction": [view(), _strained(299 * SECOND, "the standby “b”")],
    "clocks_apart": [
        _of(A, replace(B, clock_offset=5 * SECOND)),
        _of(A, replace(LOST, clock_offset=HOUR)),
    ],
    "configurations_differ": [
        _of(A, B),
        _of(A, replace(B, configuration=None)),
        _of(A, replace(LOST, configuration="another")),
    ],
}


def _opening() -> Iterator[object]:
    for name, cases in OPENS.items():
        for number, case in enumerate(cases):
            yield pytest.param(name, *case, id=f"{name}-{number}")


def _quiet() -> Iterator[object]:
    for name, views in NOT_ENOUGH.items():
        for number, one in enumerate(views):
            yield pytest.param(name, one, id=f"{name}-{number}")


@pytest.mark.parametrize(("name", "seen", "subject"), [*_opening()])
def test_a_rule_finds_what_it_is_about(name: str, seen: View, subject: str) -> None:
    (found,) = rule(name).find(seen)
    assert found.subject == subject
    assert found.summary.endswith(".")
    assert found.summary[0].isupper() or found.summary[0].isdigit()


@pytest.mark.parametrize(("name", "seen"), [*_quiet()])
def test_a_rule_is_quiet_about_less(name: str, seen: View) -> None:
    assert list(rule(name).find(seen)) == []


@pytest.mark.parametrize("one", NODE_RULES, ids=lambda one: one.name)
def test_every_rule_is_tried_with_much_and_with_little(one: Rule) -> None:
    assert OPENS[one.name]
    assert NOT_ENOUGH[one.name]


def test_who_holds_old_rows_is_named() -> None:
    (found,) = rule("old_transaction").find(_strained(6 * MINUTE, "the replication slot “x”"))
    assert found.summary.startswith("The replication slot “x” has kept old rows")
    assert "6 min" in found.summary


def test_what_a_lost_node_has_on_its_disk_is_said() -> None:
    (found,) = rule("node_lost").find(_of(A, replace(LOST, spool=SpoolFigures(1))))
    assert "1 event waits on its disk" in found.summary
