"""What the gauges show, as plain values: whoever looks at the service every few seconds tells.

Knows neither store nor worker.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

OpenAlert: TypeAlias = tuple[str, str, str]
"""Rule, subject, severity."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The service at a moment. What is not named is not there.

    Attributes:
        waiting: deliveries that have not arrived, by destination and state.
        oldest_seconds: the age of the oldest of them, by destination.
        sizes: bytes, as `History.sizes` names them: database, log, disk_free, disk_size; as far
            as the database tells them.
        waiting_events: that wait for the disk.
        waiting_bytes: their size.
        turns: when each destination's worker last looked for something to do, aware; of every
            destination there is, so that one where nothing waits shows 0.
        alerts: the open ones.
        nodes: how many there are over the database, by role.
        duties: whether each is this process's.
        oldest_transaction_seconds: how long it has kept old rows in the database.
        spool_oldest_seconds: the age of the oldest event on the process's own disk.
    """

    waiting: Mapping[tuple[str, str], int] = field(default_factory=dict)
    oldest_seconds: Mapping[str, float] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    waiting_events: int = 0
    waiting_bytes: int = 0
    turns: Mapping[str, datetime] = field(default_factory=dict)
    alerts: Collection[OpenAlert] = ()
    nodes: Mapping[str, int] = field(default_factory=dict)
    duties: Mapping[str, bool] = field(default_factory=dict)
    oldest_transaction_seconds: float = 0.0
    spool_oldest_seconds: float = 0.0
