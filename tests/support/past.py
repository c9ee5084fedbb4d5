"""A history that is written down beforehand: 14 hours without TikTok, for reports on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from conversion_relay.core.delivery import State
from conversion_relay.service.store.history import (
    AlertRecord,
    AnswerCount,
    FlowCount,
    Moment,
    OutcomeCount,
    RequestRecord,
    Strain,
    VersionRecord,
    Waiting,
)

NIGHT = datetime(2026, 1, 13, 18, tzinfo=UTC)
MORNING = NIGHT + timedelta(hours=16)
GONE, BACK = NIGHT + timedelta(hours=1), NIGHT + timedelta(hours=15)
ON_TIME = timedelta(minutes=5)


@dataclass
class Past:
    """Answers as the store would, from lists. What it is asked for the time of is kept."""

    kept_outcomes: Sequence[OutcomeCount] = ()
    kept_moments: Sequence[Moment] = ()
    kept_answers: Sequence[AnswerCount] = ()
    kept_requests: Sequence[RequestRecord] = ()
    kept_alerts: Sequence[AlertRecord] = ()
    kept_flow: Sequence[FlowCount] = ()
    steps: list[timedelta] = field(default_factory=list)

    async def outcomes(
        self, since: datetime, until: datetime, bounds: Sequence[timedelta]
    ) -> Sequence[OutcomeCount]:
        """All, whatever the period."""
        del since, until, bounds
        return self.kept_outcomes

    async def moments(self, since: datetime, until: datetime, step: timedelta) -> Sequence[Moment]:
        """Those of the period."""
        self.steps.append(step)
        return [one for one in self.kept_moments if since <= one.begin < until]

    async def answers(
        self, since: datetime, until: datetime, step: timedelta
    ) -> Sequence[AnswerCount]:
        """Those of the period."""
        self.steps.append(step)
        return [one for one in self.kept_answers if since <= one.begin < until]

    async def requests(
        self, since: datetime, until: datetime, limit: int
    ) -> Sequence[RequestRecord]:
        """The newest of the period."""
        found = [one for one in self.kept_requests if since <= one.sent_at < until]
        return sorted(found, key=lambda one: one.sent_at, reverse=True)[:limit]

    async def alerts(self, limit: int) -> Sequence[AlertRecord]:
        """The newest."""
        return sorted(self.kept_alerts, key=lambda one: one.opened_at, reverse=True)[:limit]

    async def flow(self, since: datetime, until: datetime, step: timedelta) -> Sequence[FlowCount]:
        """Those of the period."""
        del step
        return [one for one in self.kept_flow if since <= one.minute < until]

    async def add_flow(self, counts: Sequence[FlowCount]) -> None:
        """Nobody does."""
        raise NotImplementedError

    async def waiting(self) -> Sequence[Waiting]:
        """Nobody asks."""
        raise NotImplementedError

    async def waiting_value(self, destination: str) -> Mapping[str, int]:
        """Nobody asks."""
        raise NotImplementedError

    async def attempts(self, delivery: int) -> Sequence[RequestRecord]:
        """Nobody asks."""
        raise NotImplementedError

    async def keep_alert(self, alert: AlertRecord) -> int:
        """Nobody does."""
        raise NotImplementedError

    async def keep_version(self, version: VersionRecord) -> int:
        """Nobody does."""
        raise NotImplementedError

    async def versions(self, limit: int) -> Sequence[VersionRecord]:
        """Nobody asks."""
        raise NotImplementedError

    async def version(self, number: int) -> VersionRecord | None:
        """Nobody asks."""
        raise NotImplementedError

    async def strain(self) -> Strain:
        """Nothing wears on it."""
        return Strain()

    async def sizes(self) -> Mapping[str, int]:
        """Nobody asks."""
        raise NotImplementedError


def outcome(
    event: str,
    count: int,
    late: timedelta | None = ON_TIME,
    state: State = State.DELIVERED,
    value: tuple[str, int] | None = None,
    **changes: str,
) -> OutcomeCount:
    """Conversions of one kind; `value` is a currency and whole units of it."""
    names = {"source": "default", "destination": "tiktok", "mapping": event} | changes
    delivered = state is State.DELIVERED
    return OutcomeCount(
        source=names["source"],
        destination=names["destination"],
        mapping=names["mapping"],
        event_name=event,
        state=state,
        late=late if delivered else None,
        currency=None if value is None else value[0],
        count=count,
        value_micros=0 if value is None else value[1] * 1_000_000,
        longest_seconds=(late or timedelta(hours=50)).total_seconds() - 30 if delivered else 0.0,
    )


def outage() -> Past:
    """From 19:00:12 to 09:00:08 TikTok answered 502, then nothing; then everything arrived."""
    hours = [timedelta(hours=number) for number in (1, 3, 6, 12, 24)]
    events = [
        *(outcome("PlaceAnOrder", 40, value=("EUR", 2_310)) for _ in range(1)),
        outcome("PlaceAnOrder", 6, value=("GBP", 418)),
        outcome("AddToCart", 112, value=("EUR", 3_104)),
        outcome("ViewContent", 391),
        outcome("PlaceAnOrder", 2, state=State.DEAD, value=("EUR", 120)),
        outcome("ViewContent", 1, state=State.UNCERTAIN),
        outcome("Search", 3, state=State.PENDING),
        outcome("AddToCart", 1, state=State.SUPPRESSED, value=("JPY", 1_400)),
    ]
    for index, late in enumerate(hours, 1):
        events += [
            outcome("PlaceAnOrder", 20 * index, late, value=("EUR", 1_150 * index)),
            outcome("AddToCart", 50 * index, late, value=("EUR", 1_400 * index)),
            outcome("ViewContent", 160 * index, late),
        ]
    return Past(events, _moments(), _answers(), _requests(), _alerts(), _flow())


def _moments() -> Sequence[Moment]:
    found = []
    for number in range(16 * 12):
        begin = NIGHT + timedelta(minutes=5 * number)
        received = 14 + (number * 7) % 11
        away = GONE <= begin < BACK
        found.append(Moment(begin, received, 0 if away else received))
    waiting = sum(one.received - one.delivered for one in found)
    last = max(index for index, one in enumerate(found) if one.begin <= BACK)
    found[last] = Moment(found[last].begin, found[last].received, waiting)
    return found


def _answers() -> Sequence[AnswerCount]:
    found = []
    for number in range(16 * 60):
        begin = NIGHT + timedelta(minutes=number)
        if begin < GONE or begin >= BACK + timedelta(minutes=1):
            found.append(AnswerCount(begin, "tiktok", "accepted", 200, 0, 3, 9))
        elif begin < GONE + timedelta(hours=9):
            found.append(AnswerCount(begin, "tiktok", "unknown", 502, None, 4, 4))
        elif begin < BACK:
            found.append(AnswerCount(begin, "tiktok", "unknown", None, None, 4, 4))
        else:
            found.append(AnswerCount(begin, "tiktok", "accepted", 200, 0, 7, 3_000))
    return found


def _requests() -> Sequence[RequestRecord]:
    return [
        RequestRecord("tiktok", GONE + timedelta(seconds=12), 0.25, 1, "unknown", 502),
        RequestRecord("tiktok", GONE + timedelta(seconds=30), 0.25, 1, "unknown", 502),
        RequestRecord("tiktok", BACK + timedelta(seconds=7.75), 0.25, 1, "accepted", 200, 0),
        RequestRecord("tiktok", BACK + timedelta(seconds=9), 0.25, 8, "accepted", 200, 0),
    ]


def _alerts() -> Sequence[AlertRecord]:
    opened = GONE + timedelta(seconds=40)
    summary = "tiktok accepted none of the last 5 requests; 1,812 conversions wait"
    advice = "Nothing to do while TikTok is away."
    resolved = BACK + timedelta(seconds=20)
    return [
        AlertRecord(
            1, "lane_open", "tiktok", "critical", opened, opened, resolved, summary, advice
        ),
        AlertRecord(
            2, "silence", "app", "warning", NIGHT - timedelta(days=2), opened,
            NIGHT - timedelta(days=1), "app is quiet", "Look there.",
        ),
    ]  # fmt: skip


def _flow() -> Sequence[FlowCount]:
    return [
        FlowCount(NIGHT, "events_kept", ("default", "planned"), 3_108),
        FlowCount(NIGHT, "events_kept", ("default", "unmatched"), 214),
        FlowCount(GONE, "requests_refused", ("default", "unauthorized"), 2),
        FlowCount(GONE, "requests_refused", ("default", "unauthorized"), 3),
        FlowCount(GONE, "events_kept", ("~canary", "unmatched"), 900),
    ]
