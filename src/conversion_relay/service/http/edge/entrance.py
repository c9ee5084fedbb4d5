"""The bounds in front of the application, built from the settings: the door and the gate."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI

from conversion_relay.service.http.edge.door import Door, DoorLimits
from conversion_relay.service.http.edge.gate import Budget, Gate
from conversion_relay.service.http.edge.turned_away import TurnedAway
from conversion_relay.service.settings import ServiceSettings

_HEAD_SECONDS: Final = 10.0


def door_of(settings: ServiceSettings, turned_away: TurnedAway) -> Door:
    """For connections."""
    limits = DoorLimits(
        max_header_bytes=settings.max_header_bytes,
        receive_seconds=settings.receive_seconds,
        head_seconds=min(_HEAD_SECONDS, settings.receive_seconds),
    )
    return Door(limits, settings.max_connections, turned_away.note)


def add_gate(application: FastAPI, settings: ServiceSettings, turned_away: TurnedAway) -> None:
    """For requests, in front of everything that was added before."""
    application.add_middleware(
        Gate,
        max_requests=settings.max_requests,
        budget=Budget(settings.max_receiving_bytes),
        turned_away=turned_away.note,
    )
