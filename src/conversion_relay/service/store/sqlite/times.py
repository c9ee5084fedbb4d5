"""Times as the database keeps them: whole microseconds since 1970, UTC. Loses nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(moment: datetime) -> int:
    """The number that is kept; an aware moment is needed."""
    return (moment - _EPOCH) // _MICROSECOND


def from_microseconds(number: int) -> datetime:
    """The moment, in UTC."""
    return _EPOCH + timedelta(microseconds=number)
