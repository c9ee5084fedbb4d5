"""What may be wrong where several nodes share a database: a function for each rule. Pure.

A process that has its database for itself finds none of it, but for what its spool holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from conversion_relay.service.alerting.alert import SERVICE
from conversion_relay.service.monitor.figures import Company, NodeFigures, SpoolFigures
from conversion_relay.service.monitor.view import Found, View
from conversion_relay.service.quantities import counted, duration

CUT_OFF_AFTER: Final = timedelta(seconds=30)
"""So long the database may not answer a node."""
OLD_TRANSACTION: Final = timedelta(minutes=5)
CLOCKS_APART: Final = timedelta(seconds=5)
SPOOLED_FOR: Final = timedelta(minutes=2)
"""So long an event may wait on a node's own disk."""


def node_lost(view: View) -> Iterator[Found]:
    """A node is gone without a goodbye, and none was started in its place."""
    company = view.present.company
    for node in _missed(company) if company else ():
        left = f"; {_spooled(node.spool)} on its disk" if node.spool.events else ""
        summary = (
            f"The node {node.name} gave no sign of life for {duration(node.silent_for)}, and none "
            f"was started in its place{left}."
        )
        facts = {"silent_seconds": _seconds(node.silent_for), "spooled": node.spool.events}
        yield Found(node.name, summary, since=view.now - node.silent_for, facts=facts)


def node_cut_off(view: View) -> Iterator[Found]:
    """The database does not answer this node."""
    company = view.present.company
    if company is None or company.cut_off_for < CUT_OFF_AFTER:
        return
    spool = view.present.spool
    kept = f"; {_spooled(spool)} on its disk" if spool.events else ""
    summary = (
        f"The database has not answered the node {company.name} for "
        f"{duration(company.cut_off_for)}{kept}."
    )
    facts = {"unanswered_seconds": _seconds(company.cut_off_for), "spooled": spool.events}
    yield Found(company.name, summary, since=view.now - company.cut_off_for, facts=facts)


def old_transaction(view: View) -> Iterator[Found]:
    """A transaction keeps the database from clearing away what nobody needs."""
    strain = view.present.store.strain
    if strain.oldest_transaction >= OLD_TRANSACTION:
        holder = strain.holder or "a transaction"
        summary = (
            f"{holder[0].upper()}{holder[1:]} has kept old rows in the database for "
            f"{duration(strain.oldest_transaction)}; claiming events becomes slower meanwhile."
        )
        facts = {"seconds": _seconds(strain.oldest_transaction)}
        yield Found(SERVICE, summary, since=view.now - strain.oldest_transaction, facts=facts)


def clocks_apart(view: View) -> Iterator[Found]:
    """A node's clock differs from the database's."""
    for node in _here(view):
        if abs(node.clock_offset) > CLOCKS_APART:
            way = "ahead of" if node.clock_offset > timedelta() else "behind"
            summary = (
                f"The clock of the node {node.name} is {duration(abs(node.clock_offset))} {way} "
                "the database's."
            )
            facts = {"offset_seconds": round(node.clock_offset.total_seconds(), 1)}
            yield Found(node.name, summary, facts=facts)


def spool_waiting(view: View) -> Iterator[Found]:
    """Events wait on a node's own disk although the database takes some."""
    for name, spool in _spools(view):
        if spool.events and spool.waits > SPOOLED_FOR:
            summary = (
                f"{_spooled(spool).capitalize()} on the disk of {name}, the oldest for "
                f"{duration(spool.waits)}."
            )
            facts = {"events": spool.events, "oldest_seconds": _seconds(spool.waits)}
            yield Found(name, summary, since=view.now - spool.waits, facts=facts)


def configurations_differ(view: View) -> Iterator[Found]:
    """Nodes run different configurations."""
    groups: dict[str, list[str]] = {}
    for node in _here(view):
        if node.configuration is not None:
            groups.setdefault(node.configuration, []).append(node.name)
    if len(groups) > 1:
        sides = (f"{', '.join(names)}: {name[:12]}" for name, names in sorted(groups.items()))
        summary = f"The nodes run {len(groups)} different configurations ({'; '.join(sides)})."
        yield Found(SERVICE, summary, facts={"configurations": len(groups)})


def _here(view: View) -> Sequence[NodeFigures]:
    company = view.present.company
    return company.here if company else ()


def _missed(company: Company) -> Iterator[NodeFigures]:
    """Those that are gone, but for as many of each role as were started since."""
    came = sorted(company.here, key=lambda one: one.runs_for, reverse=True)
    gone = [one for one in company.nodes if not one.is_here and one.name != company.name]
    for lost in sorted(gone, key=lambda one: one.silent_for, reverse=True):
        instead = (
            one
            for one in came
            if one.runs_for < lost.silent_for and one.role in {lost.role, "all"}
        )
        found = next(instead, None)
        if found is None:
            yield lost
        else:
            came.remove(found)


def _spools(view: View) -> Iterator[tuple[str, SpoolFigures]]:
    """What waits on the disks of nodes; of this one as it is now."""
    company = view.present.company
    yield (company.name if company else SERVICE), view.present.spool
    for node in company.here if company else ():
        if company is not None and node.name != company.name:
            yield node.name, node.spool


def _spooled(spool: SpoolFigures) -> str:
    waits = "waits" if spool.events == 1 else "wait"
    return f"{counted(spool.events, 'event')} {waits}"


def _seconds(length: timedelta) -> int:
    return round(length.total_seconds())
