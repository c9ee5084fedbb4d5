"""The admin paths that say how much is kept, and with which configuration. Counts, no events.

Knows the store by its port.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field

from conversion_relay import __version__
from conversion_relay.core.delivery import State
from conversion_relay.service.http.admin.masking import name_shown
from conversion_relay.service.store.port import DeliveryRecord, Disposition, Store

_MessageIds = Annotated[list[str], Query(min_length=1, max_length=100)]
STATUS = "/api/status"


class ConfigurationInEffect(BaseModel):
    """The configuration that is in effect, by the version under which it is kept."""

    id: int
    since: AwareDatetime
    cause: Annotated[str, Field(description="start, file, signal, api or rollback")]
    fingerprint: Annotated[str, Field(description="the same for the same configuration")]


class StatusAnswer(BaseModel):
    """What is kept."""

    version: Annotated[str, Field(description="of conversion-relay")]
    node: Annotated[
        str | None, Field(description="who answers; null: one process owns the database")
    ]
    events: Annotated[dict[Disposition, int], Field(description="by what became of them")]
    deliveries: Annotated[
        dict[str, dict[State, int]], Field(description="by destination and state")
    ]
    configuration: Annotated[
        ConfigurationInEffect | None, Field(description="null: none is kept yet")
    ]


def status_router(store: Store) -> APIRouter:
    """The paths."""
    router = APIRouter()

    @router.get("/", summary="Where the admin paths are")
    async def index() -> dict[str, str]:
        return {
            "service": "conversion-relay",
            "version": __version__,
            "status": STATUS,
            "description": "/api/openapi.json",
        }

    @router.get(STATUS, summary="What is kept: events by what became of them, deliveries")
    async def status() -> StatusAnswer:
        return await _status(store)

    @router.get("/api/deliveries", summary="The deliveries of events, by their messageIds")
    async def deliveries(message_id: _MessageIds) -> dict[str, list[dict[str, str | int | None]]]:
        records = await store.deliveries(message_id)
        return {"deliveries": [_brief(record) for record in records]}

    return router


async def _status(store: Store) -> StatusAnswer:
    totals = await store.totals()
    deliveries: dict[str, dict[State, int]] = {}
    for (destination, state), count in totals.deliveries.items():
        deliveries.setdefault(destination, {})[state] = count
    return StatusAnswer(
        version=__version__,
        node=None if store.cluster is None else store.cluster.node,
        events={one: totals.events.get(one, 0) for one in Disposition},
        deliveries=deliveries,
        configuration=await _in_effect(store),
    )


async def _in_effect(store: Store) -> ConfigurationInEffect | None:
    for one in await store.history.versions(1):
        return ConfigurationInEffect(
            id=one.id, since=one.since, cause=one.cause, fingerprint=one.fingerprint
        )
    return None


def _brief(record: DeliveryRecord) -> dict[str, str | int | None]:
    return {
        "messageId": record.message_id,
        "destination": record.destination,
        "mapping": record.mapping,
        "event": name_shown(record.event_name),
        "state": record.state.value,
        "attempts": record.attempts,
        "reason": record.reason,
    }
