"""What a store tells of the past, besides events: requests, counts, alerts, configurations.

Values and the port. Knows no database. None of it is personal, so none of it is sealed, but the
content of configurations, which holds references to secrets and never a secret.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from conversion_relay.core.delivery import State

CANARY_SOURCE: Final = "~canary"
"""The source of test events: outcomes, moments and values leave it out.

Counts of what waits do not: of each destination, one of them waits at a time.
"""


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request to a destination, and what came back.

    Attributes:
        sent_at: aware.
        seconds: until the answer, or until it was given up.
        events: how many travelled in it.
        result: accepted, or the kind of outcome, as the metric of requests calls it.
        status: of HTTP; None without an answer.
        code: the partner's own, where the answer had one.
        request_id: the partner's name of the request, for its support.
        reason: why it was not accepted, in words that hold no value of an event.
        undecided: deliveries in it that go again at once, because others may be to blame; for the
            store to keep as their attempt, never given back.
    """

    destination: str
    sent_at: datetime
    seconds: float
    events: int
    result: str
    status: int | None = None
    code: int | None = None
    request_id: str | None = None
    reason: str | None = None
    undecided: tuple[int, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class FlowCount:
    """How often something happened within a minute.

    Attributes:
        minute: aware, its beginning; of a sum over more time the beginning of that.
        measure: what is counted, such as "events_kept": the name of its metric without prefix.
        labels: of the metric, in its order, such as ("default", "planned").
        count: at least 1.
    """

    minute: datetime
    measure: str
    labels: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """What has not arrived yet, of one destination and state: pending, claimed or held.

    Attributes:
        count: deliveries.
        oldest: when the service took the oldest of them on; None when there is none.
    """

    destination: str
    state: State
    count: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    """What became of the deliveries that have all this in common.

    Attributes:
        event_name: the partner's.
        late: of delivered ones, the first of the asked bounds that the time from the receipt of
            the event to its delivery does not exceed; None beyond the last, and of all others.
        currency: None where nothing is said of a value.
        value_micros: their values together, in millionths of the currency's unit.
        longest_seconds: from receipt to delivery, the longest; 0.0 of what is not delivered.
        unvalued: of how many the value is not known, for an earlier release kept none.
    """

    source: str
    destination: str
    mapping: str
    event_name: str
    state: State
    late: timedelta | None
    currency: str | None
    count: int
    value_micros: int
    longest_seconds: float
    unvalued: int = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """Some minutes of a report.

    Attributes:
        begin: aware.
        received: deliveries of events received in them.
        delivered: deliveries that arrived in them, whenever their events were received.
    """

    begin: datetime
    received: int
    delivered: int


@dataclass(frozen=True, slots=True)
class AnswerCount:
    """Requests to a destination within some minutes that ended alike.

    Attributes:
        begin: of these minutes, aware.
        requests: how many.
        events: in all of them.
    """

    begin: datetime
    destination: str
    result: str
    status: int | None
    code: int | None
    requests: int
    events: int


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """An alert as it is kept: one is open for a rule and subject at a time.

    Attributes:
        id: 0 of one that was never kept.
        subject: the source or destination it is about, or "service".
        notified_at: when its channels were last told.
        resolved_at: None while it is open.
        facts: figures by name, for machines.
    """

    id: int
    rule: str
    subject: str
    severity: str
    opened_at: datetime
    notified_at: datetime
    resolved_at: datetime | None
    summary: str
    advice: str
    facts: Mapping[str, str | int | float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """A configuration that was in effect.

    Attributes:
        id: grows; 0 of one that was never kept.
        since: when it came into effect.
        cause: start, file, signal, api or rollback.
        fingerprint: of the content; the same for the same configuration.
        content: JSON: settings with references in the place of secrets, and the mappings.
        rolled_back: the fingerprint of the configuration that this one was taken back to replace:
            while the files say that, this one stays; None of all others.
        refused: the fingerprint of the last that was to take the place of this one, and did not.
    """

    id: int
    since: datetime
    cause: str
    fingerprint: str
    content: str = field(repr=False)
    rolled_back: str | None = None
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Strain:
    """What wears on the database.

    Attributes:
        oldest_transaction: how long the oldest one has kept the database from clearing away what
            nobody needs any more; zero where nothing does.
        holder: what holds it, in words that name no statement.
    """

    oldest_transaction: timedelta = timedelta()
    holder: str | None = None


class History(Protocol):
    """The past as operators ask for it. Safe to call from many tasks.

    Every method raises StoreUnavailable when nothing can be read or written; nothing else.
    """

    async def add_flow(self, counts: Sequence[FlowCount]) -> None:
        """Add these counts to those of their minutes."""
        ...

    async def flow(self, since: datetime, until: datetime, step: timedelta) -> Sequence[FlowCount]:
        """Counts from `since` (included) to `until`, summed over steps of whole minutes."""
        ...

    async def waiting(self) -> Sequence[Waiting]:
        """What has not arrived yet. Cheap with any backlog: it is asked every few seconds."""
        ...

    async def waiting_value(self, destination: str) -> Mapping[str, int]:
        """What waits for this destination is worth: millionths by currency. May take a second."""
        ...

    async def attempts(self, delivery: int) -> Sequence[RequestRecord]:
        """The requests in which this delivery travelled, oldest first, as far as they are kept."""
        ...

    async def requests(
        self, since: datetime, until: datetime, limit: int
    ) -> Sequence[RequestRecord]:
        """The newest requests sent from `since` (included) to `until`, newest first."""
        ...

    async def answers(
        self, since: datetime, until: datetime, step: timedelta
    ) -> Sequence[AnswerCount]:
        """The answers to requests sent in that time, summed over steps, oldest first."""
        ...

    async def outcomes(
        self, since: datetime, until: datetime, bounds: Sequence[timedelta]
    ) -> Sequence[OutcomeCount]:
        """What became of the deliveries of events received from `since` (included) to `until`."""
        ...

    async def moments(self, since: datetime, until: datetime, step: timedelta) -> Sequence[Moment]:
        """The course of that time in steps, oldest first, without empty ones."""
        ...

    async def keep_alert(self, alert: AlertRecord) -> int:
        """Keep a new alert (id 0) or the present form of a kept one; gives its id."""
        ...

    async def alerts(self, limit: int) -> Sequence[AlertRecord]:
        """Every open alert, and of the others the newest, `limit` together; newest first."""
        ...

    async def keep_version(self, version: VersionRecord) -> int:
        """Keep a configuration that came into effect (id 0), or what a kept one refused since.

        Gives its id.
        """
        ...

    async def versions(self, limit: int) -> Sequence[VersionRecord]:
        """The newest configurations, newest first."""
        ...

    async def version(self, number: int) -> VersionRecord | None:
        """The configuration with this id."""
        ...

    async def sizes(self) -> Mapping[str, int]:
        """Bytes: `database`, `log` (write-ahead), `disk_free`, `disk_size`."""
        ...

    async def strain(self) -> Strain:
        """What wears on the database. Cheap: it is asked every few seconds."""
        ...
