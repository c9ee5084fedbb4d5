"""The admin paths of how things stand: what waits, with its value, and which alerts are open.

Counts and sentences. Knows the past by its port, and nothing of an event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field

from conversion_relay.core.delivery import State
from conversion_relay.service.http.admin.shown import Shown
from conversion_relay.service.store.history import AlertRecord, History, Waiting

WAITING: Final = "/api/waiting"
ALERTS: Final = "/api/alerts"
_MICROS: Final = 1_000_000
_WithValue = Annotated[bool, Query(description="with what it is worth; may take a second")]
_Limit = Annotated[int, Query(ge=1, le=500, description="open ones, and the newest others")]


class WaitingShown(Shown):
    """What has not arrived yet, of one destination and state."""

    destination: str
    state: Annotated[State, Field(description="pending, claimed or held")]
    count: Annotated[int, Field(description="deliveries")]
    oldest: Annotated[AwareDatetime | None, Field(description="when the service took it on")]
    age_seconds: Annotated[float | None, Field(description="of the oldest")]


class WaitingAnswer(BaseModel):
    """What has not arrived yet."""

    waiting: list[WaitingShown]
    value: Annotated[
        dict[str, dict[str, float]] | None,
        Field(description="by destination and currency, in its units; null: not asked for"),
    ] = None


class AlertShown(Shown):
    """An alert: one is open for a rule and subject at a time."""

    id: int
    rule: str
    subject: Annotated[str, Field(description='the source or destination, or "service"')]
    severity: str
    is_open: bool
    opened_at: AwareDatetime
    notified_at: Annotated[AwareDatetime, Field(description="when its channels were last told")]
    resolved_at: Annotated[AwareDatetime | None, Field(description="null: it is open")]
    summary: Annotated[str, Field(description="what happens")]
    advice: Annotated[str, Field(description="what to do")]
    facts: Annotated[
        dict[str, str | int | float | None], Field(description="figures, for machines")
    ]


class AlertsAnswer(BaseModel):
    """Every open alert, and of the others the newest; newest first."""

    open: Annotated[int, Field(description="how many of these are open")]
    alerts: list[AlertShown]


def standing_router(
    history: History, destinations: Callable[[], Sequence[str]], clock: Callable[[], datetime]
) -> APIRouter:
    """The paths of how things stand.

    Args:
        history: where it is asked.
        destinations: the names of the configured ones.
        clock: gives the present, aware, in UTC.
    """
    router = APIRouter()

    @router.get(WAITING, summary="What has not arrived yet, by destination and state")
    async def waiting(*, value: _WithValue = False) -> WaitingAnswer:
        found = await history.waiting()
        names = dict.fromkeys((*destinations(), *(one.destination for one in found)))
        worth = {name: _units(await history.waiting_value(name)) for name in names if value}
        now = clock()
        shown = [_waiting(one, now) for one in found if one.count]
        return WaitingAnswer(waiting=shown, value=worth if value else None)

    @router.get(ALERTS, summary="Open alerts, and those of the past")
    async def alerts(limit: _Limit = 100) -> AlertsAnswer:
        found = [_alert(one) for one in await history.alerts(limit)]
        return AlertsAnswer(open=sum(one.is_open for one in found), alerts=found)

    return router


def _units(micros: Mapping[str, int]) -> dict[str, float]:
    return {currency: amount / _MICROS for currency, amount in sorted(micros.items())}


def _waiting(found: Waiting, now: datetime) -> WaitingShown:
    age = None if found.oldest is None else max(0.0, (now - found.oldest).total_seconds())
    return WaitingShown(
        destination=found.destination,
        state=found.state,
        count=found.count,
        oldest=found.oldest,
        age_seconds=age,
    )


def _alert(record: AlertRecord) -> AlertShown:
    return AlertShown(**asdict(record), is_open=record.resolved_at is None)
