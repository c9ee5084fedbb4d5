"""What waits in the spool comes back as it was, whatever it holds."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.core.destination import Worth
from conversion_relay.core.plan import Note, PlannedDelivery
from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.spool.record import packed, unpacked
from conversion_relay.service.store.persons import KeyCount, Learned
from conversion_relay.service.store.port import Disposition, NewEvent

_TEXTS = st.text(max_size=20) | st.sampled_from(["\x00", "\ud800", "\n", '"\\', "ü\x1b"])
_MOMENTS = st.datetimes(
    min_value=datetime(1970, 1, 2),  # noqa: DTZ001 - aware by `timezones`
    timezones=st.just(UTC),
)
_COUNTS = st.integers(min_value=-(2**80), max_value=2**80)
_NOTES = st.lists(st.builds(Note, _TEXTS, _TEXTS, _TEXTS, _TEXTS), max_size=3).map(tuple)
_KEYS = st.frozensets(_TEXTS, max_size=3)
_DELIVERIES = st.builds(
    PlannedDelivery,
    destination=_TEXTS,
    mapping=_TEXTS,
    envelope=_TEXTS,
    event_name=_TEXTS,
    event_id=st.none() | _TEXTS,
    body=st.binary(max_size=50),
    keys=_KEYS,
    filled=_KEYS,
    worth=st.none() | st.builds(Worth, _COUNTS, _TEXTS),
)
_EVENTS = st.builds(
    NewEvent,
    source=_TEXTS,
    message_id=_TEXTS,
    type=_TEXTS,
    received_at=_MOMENTS,
    original=st.binary(max_size=50),
    disposition=st.sampled_from(Disposition),
    deliveries=st.lists(_DELIVERIES, max_size=3).map(tuple),
    warnings=_NOTES,
    rejections=_NOTES,
    reason=st.none() | _TEXTS,
    suppressions=_NOTES,
    subjects=st.lists(_TEXTS, max_size=2).map(tuple),
    learned=st.lists(
        st.builds(Learned, _TEXTS, st.dictionaries(_TEXTS, _TEXTS, max_size=3), _MOMENTS),
        max_size=2,
    ).map(tuple),
    key_counts=st.lists(
        st.builds(KeyCount, _TEXTS, _TEXTS, st.booleans() | _COUNTS, _COUNTS), max_size=2
    ).map(tuple),
)


@given(st.lists(_EVENTS, min_size=1, max_size=4))
def test_events_come_back_as_they_were(events: list[NewEvent]) -> None:
    assert unpacked(packed(events)) == tuple(events)


@given(st.lists(_EVENTS, min_size=1, max_size=2), st.integers(min_value=0, max_value=200))
def test_a_record_that_lost_its_end_is_none(events: list[NewEvent], kept: int) -> None:
    whole = packed(events)
    if kept < len(whole):
        with pytest.raises(StoreUnavailable):
            unpacked(whole[:kept])


def test_a_later_form_is_refused() -> None:
    with pytest.raises(StoreUnavailable, match="later release"):
        unpacked(b'{"form":2,"events":[]}\n')
