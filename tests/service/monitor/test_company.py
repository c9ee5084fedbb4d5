"""What nodes say of themselves, written, read and put together."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.core.lane import Condition
from conversion_relay.service.canary.standing import CanaryStanding
from conversion_relay.service.metrics import Reading
from conversion_relay.service.monitor.company import Run, Tally, figures_of, lanes_of
from conversion_relay.service.monitor.course import Counts
from conversion_relay.service.monitor.figures import (
    COMMITS,
    LaneFigures,
    RefusalFigures,
    SpoolFigures,
)
from conversion_relay.service.monitor.published import Published, read, written
from conversion_relay.service.store.cluster import NodeRecord, NodeStanding, Role
from support.time import START

SECOND = timedelta(seconds=1)
KEPT: Reading = ("events_kept", ("shop", "planned"))
A, B = ("a", START), ("b", START)


def _of(count: float) -> Counts:
    return {KEPT: count}


def _after(*looks: dict[Run, Counts]) -> float:
    tally = Tally()
    for number, said in enumerate(looks):
        tally = tally.then(said, START + number * 5 * SECOND)
    return tally.counted.get(KEPT, 0.0)


def test_what_was_counted_before_the_first_look_is_no_growth() -> None:
    assert _after({A: _of(100)}, {A: _of(103)}) == 3


def test_a_node_that_is_there_anew_begins_at_nothing() -> None:
    again = ("a", START + SECOND)
    assert _after({}, {A: _of(100)}, {again: _of(7)}) == 107


def test_a_node_that_says_nothing_for_once_is_not_counted_twice() -> None:
    assert _after({}, {A: _of(100)}, {A: {}}, {}, {A: _of(101)}) == 101


def test_an_older_word_is_no_growth() -> None:
    assert _after({}, {A: _of(100)}, {A: _of(90)}, {A: _of(101)}) == 101


@given(st.lists(st.dictionaries(st.sampled_from([A, B]), st.integers(0, 9), max_size=2)))
def test_the_sum_never_falls_whoever_comes_and_goes(looks: list[dict[Run, int]]) -> None:
    tally, before = Tally(), 0.0
    for number, said in enumerate(looks):
        counts = {run: _of(count) for run, count in said.items()}
        tally = tally.then(counts, START + number * SECOND)
        assert tally.counted.get(KEPT, 0.0) >= before
        before = tally.counted.get(KEPT, 0.0)


def test_a_node_that_is_gone_for_days_is_forgotten() -> None:
    tally = Tally().then({A: _of(1)}, START).then({}, START + timedelta(days=3))
    assert not tally.said


SAID = Published(
    counts={KEPT: 3.0, (COMMITS, ()): 4.0},
    lanes={"tiktok": LaneFigures(Condition.OPEN, START, "connect error", START - 3 * SECOND)},
    canaries={"tiktok": CanaryStanding("tiktok", stops_before_tiktok=False, failures=2)},
    refusal=RefusalFigures(START, "there is no such pixel"),
    spool=SpoolFigures(5, 900, 7 * SECOND),
    waiting_events=8,
)


def test_what_is_written_can_be_read() -> None:
    assert read(written(SAID, START), START) == SAID
    assert read(written(Published(), START), START) == Published()


def test_ages_are_told_so_that_clocks_may_differ() -> None:
    later = START + timedelta(hours=1)
    turned = read(written(SAID, START), later).lanes["tiktok"].turned_at
    assert turned == later - 3 * SECOND


def test_what_is_not_understood_counts_as_not_said() -> None:
    for text in ("", "{", "[]", "null", '{"counts": 1}', '{"lanes": {"tiktok": 1}}'):
        assert read(text, START) == Published()
    assert read('{"waiting_events": 3, "of_a_later_release": {}}', START).waiting_events == 3


def test_a_counter_of_another_shape_is_not_taken_for_ours() -> None:
    text = '{"counts": [["events_kept", ["shop"], 1], ["of_later", ["x"], 2]]}'
    assert read(text, START).counts == {}


def test_what_a_worker_did_not_do_yet_is_counted_from_its_start() -> None:
    flows = LaneFigures(Condition.FLOWING)
    (lane,) = lanes_of({"tiktok": flows}, [], {"tiktok": START + SECOND}, START).values()
    assert lane.turned_at == START


def test_of_several_workers_the_one_is_shown_that_looked_longest_ago() -> None:
    here = {"tiktok": LaneFigures(Condition.OPEN, turned_at=START + 9 * SECOND)}
    there = {"tiktok": LaneFigures(Condition.OPEN, turned_at=START + 2 * SECOND)}
    lane = lanes_of(here, [there], {}, START)["tiktok"]
    assert (lane.condition, lane.turned_at) == (Condition.OPEN, START + 2 * SECOND)


def test_a_node_runs_since_its_start_whatever_the_clocks_say() -> None:
    fast, slow = timedelta(hours=1), timedelta(hours=-2)

    def record(name: str, began: timedelta, offset: timedelta) -> NodeRecord:
        standing = NodeStanding(Role.INGEST, "1", "", START - began + offset)
        return NodeRecord(name, standing, SECOND, offset)

    records = [record("a", 10 * SECOND, fast), record("b", 20 * SECOND, slow)]
    said = {"a": Published(), "b": replace(Published(), spool=SpoolFigures(2))}
    found = figures_of(records, said, "a", START + fast)
    assert [one.runs_for for one in found] == [10 * SECOND, 20 * SECOND]
    assert [one.spool.events for one in found] == [0, 2]
    assert [one.role for one in found] == ["ingest", "ingest"]
