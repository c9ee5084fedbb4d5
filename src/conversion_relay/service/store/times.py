"""Times as the database keeps them: whole microseconds since 1970, UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(moment: datetime) -> int:
    """The number that is kept; an aware moment is needed."""
    return (moment - _EPOCH) // _MICROSECOND


def from_microseconds(number: int) -> datetime:
    """The moment, in UTC.

    Raises:
        OverflowError: there is no such moment.
    """
    return _EPOCH + timedelta(microseconds=number)


def nearest_moment(number: int) -> datetime:
    """The moment, in UTC, or the first or last there is: a damaged number must not stop others."""
    return from_microseconds(min(max(number, _FIRST), _LAST))


_FIRST = to_microseconds(datetime.min.replace(tzinfo=UTC))
_LAST = to_microseconds(datetime.max.replace(tzinfo=UTC))
