"""What the outside gives to the parts that deliver: time, dice, counters, a log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from conversion_relay.service.logs import Log
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.tracing import NO_TRACES, Tracer


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything that is not a value of the parts themselves.

    Attributes:
        clock: gives the present, aware.
        jitter: gives a number in [0, 1).
        metrics: counters and gauges.
        log: one line for each decision.
        sleep: waits so many seconds.
        tracer: follows what is done.
    """

    clock: Callable[[], datetime]
    jitter: Callable[[], float]
    metrics: Metrics
    log: Log
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    tracer: Tracer = NO_TRACES
