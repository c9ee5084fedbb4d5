"""The canary's event. Knows no partner: a destination has its mapping.

It comes in as every other event does. Who may post it is the service itself: with a token that
every process makes anew and tells to nobody.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Final

import orjson

from conversion_relay.service.store.history import CANARY_SOURCE

EVENT: Final = "Conversion Relay Canary"
MAPPING: Final = "canary"
PATH: Final = f"/webhook/{CANARY_SOURCE}"
BEARER: Final = secrets.token_urlsafe(32)
"""Of this process; a configuration that is loaded anew changes nothing about it."""


def trigger_of(destination: str) -> str:
    """The trigger of the canary of this destination alone."""
    return f'event = "{EVENT}" and properties.destination = "{destination}"'


def event_of(destination: str, message_id: str, now: datetime) -> bytes:
    """The event that goes to this destination, as JSON; it is of no person."""
    return orjson.dumps(
        {
            "type": "track",
            "event": EVENT,
            "messageId": message_id,
            "timestamp": now.isoformat(),
            "properties": {"destination": destination},
        }
    )
