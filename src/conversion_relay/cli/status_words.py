"""What the command `status` says: tables for people, or one JSON object for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import orjson
from pydantic import BaseModel
from rich import box
from rich.table import Table

from conversion_relay.cli.operator_words import escaped, plain, rendered
from conversion_relay.service.http.admin.configured import (
    CanaryShown,
    ConfiguredDestination,
    ConfiguredSource,
)
from conversion_relay.service.http.admin.flow import FlowAnswer, Series
from conversion_relay.service.http.admin.nodes import NodesAnswer, NodeShown
from conversion_relay.service.http.admin.shown import LaneShown
from conversion_relay.service.http.admin.standing import AlertsAnswer, AlertShown, WaitingAnswer
from conversion_relay.service.http.admin.status import StatusAnswer
from conversion_relay.service.quantities import amounts, counted, duration, moment

_MICROS: Final = 1_000_000
_SHORT_FINGERPRINT: Final = 12
_ENDS: Final = ("delivered", "pending", "held", "uncertain", "dead")
_DISPOSITIONS: Final = ("planned", "unmatched", "rejected")
_HEADINGS: Final = ("delivered", "retried", "held", "uncertain", "dead")


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything that was asked.

    Attributes:
        unready: why the service cannot do its work, or None.
    """

    unready: str | None
    kept: StatusAnswer
    flow: FlowAnswer
    waiting: WaitingAnswer
    alerts: AlertsAnswer
    lanes: Sequence[LaneShown]
    sources: Sequence[ConfiguredSource]
    destinations: Sequence[ConfiguredDestination]
    nodes: NodesAnswer


def escaped_json(seen: Seen) -> str:
    """One object."""
    whole: dict[str, BaseModel] = {
        "status": seen.kept,
        "flow": seen.flow,
        "waiting": seen.waiting,
        "alerts": seen.alerts,
    }
    several: dict[str, Sequence[BaseModel]] = {
        "lanes": seen.lanes,
        "sources": seen.sources,
        "destinations": seen.destinations,
        "nodes": seen.nodes.nodes,
    }
    told_of = {name: _plainly(one) for name, one in whole.items()}
    lists = {name: [_plainly(one) for one in found] for name, found in several.items()}
    return escaped(orjson.dumps({"unready": seen.unready, **told_of, **lists}).decode())


def _plainly(model: BaseModel) -> dict[str, object]:
    return model.model_dump(mode="json", by_alias=True)


def told(seen: Seen) -> str:
    """The same for people."""
    return "\n".join(_lines(seen))


def _lines(seen: Seen) -> Iterator[str]:
    yield from _head(seen)
    yield from _nodes(seen.nodes)
    yield from _alerts([one for one in seen.alerts.alerts if one.is_open], seen.flow.until)
    yield f"Received since {moment(seen.flow.since)}, up to a minute ago:"
    yield _sources(seen)
    yield "Delivered in the same time, and what waits now:"
    yield _destinations(seen)
    yield from _reasons(seen)


def _head(seen: Seen) -> Iterator[str]:
    ready = "ready" if seen.unready is None else f"not ready: {plain(seen.unready)}"
    yield f"conversion-relay {plain(seen.kept.version)}, {ready}"
    version = seen.kept.configuration
    if version is not None:
        yield (
            f"configuration {version.id} since {moment(version.since)} "
            f"({plain(version.cause)}, {plain(version.fingerprint)})"
        )


def _nodes(answer: NodesAnswer) -> Iterator[str]:
    """Nothing where one process owns the database."""
    if not answer.nodes:
        return
    here = sum(one.is_here for one in answer.nodes)
    yield f"{counted(here, 'node')} over this database (* answers):"
    table = _table("node", ("role", "release", "address", "last sign of life", "clock"))
    for name in ("duties", "configuration"):
        table.add_column(name)
    for one in answer.nodes:
        table.add_row(*_node(one, answer.node))
    yield rendered(table)


def _node(one: NodeShown, answering: str | None) -> Iterator[str]:
    yield plain(one.node) + ("*" if one.node == answering else "")
    yield one.role.value
    yield plain(one.release)
    yield plain(one.address) or "-"
    silent = duration(timedelta(seconds=one.silent_seconds))
    yield f"{silent} ago" if one.is_here else f"lost {silent} ago"
    yield f"{one.clock_ahead_seconds:+.1f} s"
    yield plain(", ".join(one.duties)) or "-"
    yield plain((one.configuration or "-")[:_SHORT_FINGERPRINT])


def _alerts(alerts: Sequence[AlertShown], now: datetime) -> Iterator[str]:
    yield f"{counted(len(alerts), 'open alert')}{':' if alerts else ''}"
    for one in alerts:
        since = duration(now - one.opened_at)
        yield f"  {one.severity}: {plain(one.rule)} of {plain(one.subject)} for {since}"
        yield f"    {plain(one.summary)} {plain(one.advice)}"


def _sources(seen: Seen) -> str:
    flow = seen.flow
    table = _table("source", ("new", "planned", "unmatched", "rejected", "known", "refused"))
    for source in seen.sources:
        kept = {one: _total(flow.received, source.name, disposition=one) for one in _DISPOSITIONS}
        table.add_row(
            plain(source.name),
            f"{_total(flow.received, source.name):,}",
            *(f"{count:,}" for count in kept.values()),
            f"{_total(flow.duplicates, source.name):,}",
            f"{_total(flow.refused, source.name):,}",
        )
    return rendered(table)


def _total(series: Sequence[Series], source: str, **by: str) -> int:
    wanted = {"source": source, **by}
    return sum(one.total for one in series if wanted.items() <= one.by.items())


def _destinations(seen: Seen) -> str:
    table = _table("destination", (*_HEADINGS, "waiting", "oldest"))
    for name in ("worth", "lane", "canary"):
        table.add_column(name)
    lanes = {one.destination: one for one in seen.lanes}
    for destination in seen.destinations:
        name = destination.name
        ends = (
            sum(
                one.total
                for one in seen.flow.settled
                if one.by == {"destination": name, "state": state}
            )
            for state in _ENDS
        )
        table.add_row(
            plain(name),
            *(f"{count:,}" for count in ends),
            *_waiting(seen.waiting, name),
            lanes[name].condition.value if name in lanes else "-",
            _canary(destination.canary),
        )
    return rendered(table)


def _waiting(answer: WaitingAnswer, destination: str) -> tuple[str, str, str]:
    found = [one for one in answer.waiting if one.destination == destination]
    ages = [one.age_seconds for one in found if one.age_seconds is not None]
    worth = (answer.value or {}).get(destination, {})
    micros = {currency: round(units * _MICROS) for currency, units in worth.items()}
    return (
        f"{sum(one.count for one in found):,}",
        duration(timedelta(seconds=max(ages))) if ages else "-",
        plain(amounts(micros)) or "-",
    )


def _canary(canary: CanaryShown) -> str:
    if canary.reach == "off":
        return "off"
    if canary.failing_since is not None:
        return f"failing since {moment(canary.failing_since)}"
    if canary.last_success_at is None:
        return "not seen yet"
    reach = "" if canary.reach == "to_the_partner" else ", up to the store"
    return f"{moment(canary.last_success_at)}{reach}"


def _reasons(seen: Seen) -> Iterator[str]:
    """Why what does not flow does not."""
    for lane in seen.lanes:
        if lane.reason is not None:
            yield f"lane of {plain(lane.destination)}: {plain(lane.reason)}"
    for destination in seen.destinations:
        if destination.canary.reason is not None:
            yield f"canary of {plain(destination.name)}: {plain(destination.canary.reason)}"


def _table(first: str, others: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table
