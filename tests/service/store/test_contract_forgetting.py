"""What every store promises of forgetting a user: all that is theirs goes, all else stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from conversion_relay.core.delivery import Cause, State, Transition
from conversion_relay.service.store.port import (
    Disposition,
    Forgotten,
    Learned,
    NewEvent,
    Retention,
    Selection,
    Settlement,
    Store,
)
from service.store.examples import LEASE, NOW, delivered, event

EVERY = Selection()
CAUSES = {
    State.DELIVERED: Cause.ACCEPTED,
    State.DEAD: Cause.REFUSED,
    State.HELD: Cause.CREDENTIALS,
    State.UNCERTAIN: Cause.PAST_RECOGNITION,
}
NOTHING = Forgotten()


def of(message_id: str, *subjects: str, source: str = "default") -> NewEvent:
    """An event of a user, with an original of its own."""
    original = b'{"type":"track","messageId":"%s"}' % message_id.encode()
    return replace(event(message_id, source=source, original=original), subjects=subjects)


def unread(message_id: str, original: bytes) -> NewEvent:
    """One in quarantine of which no id could be read."""
    hidden = event(message_id, original=original)
    return replace(hidden, disposition=Disposition.QUARANTINED, deliveries=(), type="")


async def kept(store: Store) -> list[str]:
    page = await store.select(EVERY, 0, 1_000)
    assert all(one.original is not None for one in page.events), "and each with its original"
    return [one.message_id for one in page.events]


async def end(store: Store, **states: State) -> None:
    """Ends deliveries by their messageIds; what is not named stays claimed."""
    claims = await store.claim("tiktok", 100, LEASE, NOW)
    ended = [(one, states[one.message_id]) for one in claims if one.message_id in states]
    ends = [
        Settlement(one.id, one.fence, Transition(state, CAUSES[state])) for one, state in ended
    ]
    await store.settle(ends, NOW)


@pytest.mark.parametrize("user", ["u1", "a1"])
async def test_events_of_a_user_go_by_either_id_and_others_stay(store: Store, user: str) -> None:
    await store.append([of("a", "u1", "a1"), of("b", "u2", "a2"), of("c"), of("d", "u10", "a10")])
    assert await store.forget({user}, None, NOW) == Forgotten(1, 1, {State.PENDING: 1})
    assert await kept(store) == ["b", "c", "d"]
    claims = await store.claim("tiktok", 10, LEASE, NOW)
    assert [one.message_id for one in claims] == ["b", "c", "d"]
    assert sum((await store.totals()).events.values()) == 3


async def test_an_id_is_a_user_wherever_it_stands(store: Store) -> None:
    """The anonymousId of one event may be the userId of another."""
    await store.append([of("a", "x"), of("b", "u", "x"), of("c", "u")])
    assert (await store.forget({"x"}, None, NOW)).events == 2
    assert await kept(store) == ["c"]


async def test_one_source_alone_can_be_meant(store: Store) -> None:
    await store.append([of("a", "u"), of("b", "u", source="other")])
    assert (await store.forget({"u"}, "other", NOW)).events == 1
    assert await kept(store) == ["a"]
    assert (await store.forget({"u"}, "nowhere", NOW)) == NOTHING


async def test_deliveries_go_whatever_their_state(store: Store) -> None:
    states = {"d": State.DELIVERED, "x": State.DEAD, "h": State.HELD, "u": State.UNCERTAIN}
    await store.append([of(name, "user") for name in [*states, "claimed"]])
    await end(store, **states)
    await store.append([of("waiting", "user"), of("other", "somebody")])
    forgotten = await store.forget({"user"}, None, NOW)
    everything = [*states.values(), State.CLAIMED, State.PENDING]
    assert forgotten == Forgotten(6, 6, dict.fromkeys(everything, 1))
    assert forgotten.in_flight == 1
    assert (await store.totals()).deliveries == {("tiktok", State.PENDING): 1}
    assert await store.deliveries([*states, "claimed", "waiting"]) == ()


async def test_the_end_of_a_claim_brings_nothing_back(store: Store) -> None:
    await store.append([of("a", "u")])
    (claim,) = await store.claim("tiktok", 10, LEASE, NOW)
    assert (await store.forget({"u"}, None, NOW)).in_flight == 1
    assert await store.settle([delivered(claim)], NOW) == 0
    assert await store.claim("tiktok", 10, LEASE, NOW + 2 * LEASE) == ()
    assert await store.next_due("tiktok") is None
    assert (await store.totals()).deliveries == {}


async def test_a_copy_of_what_was_erased_is_still_recognised(store: Store) -> None:
    await store.append([of("a", "u")])
    await store.forget({"u"}, None, NOW)
    assert (await store.append([of("a", "u"), of("b", "u")])).fresh == (False, True)
    assert await kept(store) == ["b"]


async def test_the_second_time_there_is_nothing(store: Store) -> None:
    await store.append([of("a", "u"), of("b", "v")])
    await store.forget({"u"}, None, NOW)
    assert await store.forget({"u"}, None, NOW) == NOTHING
    assert await store.forgettable({"u"}, None, NOW) == NOTHING
    assert await kept(store) == ["b"]


async def test_counting_first_changes_nothing(store: Store) -> None:
    await store.append([taught("a", "u", source="default"), of("b", "u"), of("c", "v")])
    counted = await store.forgettable({"u"}, None, NOW)
    assert counted == Forgotten(2, 2, {State.PENDING: 2}, 2)
    assert await kept(store) == ["a", "b", "c"]
    assert await store.forget({"u"}, None, NOW) == counted


async def test_more_events_than_go_at_once(store: Store) -> None:
    """Among others, in many chunks."""
    for begin in range(0, 1_500, 100):
        names = [f"m{number}" for number in range(begin, begin + 100)]
        await store.append([of(one, "u" if one.endswith(("1", "2")) else "v") for one in names])
    assert (await store.forget({"u"}, None, NOW)).originals == 300
    left = [f"m{number}" for number in range(1_500) if number % 10 not in {1, 2}]
    found: list[str] = []
    after: int | None = 0
    while after is not None:
        page = await store.select(EVERY, after, 500)
        found += [one.message_id for one in page.events if one.original is not None]
        after = page.after
    assert found == left


@pytest.mark.parametrize(
    ("original", "goes"),
    [
        (b'{"userId":"user-1', True),
        (b"nonsense about user-1, cut off", True),
        (b'{"userId":"user-11","x', False),
        (b'{"userId":"another-user-1x"', False),
        (b'[1,{"userId":"user-1"}]', True),
        (b'{"event":{"userId":"user-1"}}', True),
        (b'{"anonymousId":"user\\u002d1"}', True),
        (b"\xff\xfe user-1", True),
    ],
)
async def test_what_could_not_be_read_is_searched_for_the_id(
    store: Store, original: bytes, goes: bool
) -> None:
    await store.append([unread("q", original), unread("other", b'{"userId":"user-2"')])
    assert (await store.forget({"user-1"}, None, NOW)).events == goes
    assert await kept(store) == ([] if goes else ["q"]) + ["other"]


async def test_an_event_in_quarantine_with_an_id_is_not_searched(store: Store) -> None:
    one = replace(unread("q", b'{"userId":"u","note":"v"}'), subjects=("u",))
    await store.append([one])
    assert await store.forget({"v"}, None, NOW) == NOTHING
    assert (await store.forget({"u"}, None, NOW)).events == 1


@pytest.mark.parametrize("user", ["ü-ß", "\ud800", "a" * 20_000, 'with "quotes"\\', "0"])
async def test_any_id_can_be_forgotten(store: Store, user: str) -> None:
    await store.append([of("a", user, "other"), of("b", "x" + user)])
    assert (await store.forget({user}, None, NOW)).events == 1
    assert await kept(store) == ["b"]


def taught(
    message_id: str, *subjects: str, source: str = "default", lasts: timedelta = timedelta(days=1),
    **keys: str,
) -> NewEvent:  # fmt: skip
    """An event that teaches match keys: those named, or an e-mail and a phone."""
    learned = Learned("tiktok", keys or {"email": "e1", "phone": "p1"}, NOW + lasts)
    return replace(of(message_id, *subjects, source=source), learned=(learned,))


async def test_match_keys_are_remembered_of_each_subject(store: Store) -> None:
    await store.append([taught("a", "u", "a")])
    keys = {"tiktok": {"email": "e1", "phone": "p1"}}
    assert await store.remembered("default", ["u", "a", "x"], NOW) == {"u": keys, "a": keys}
    assert await store.remembered("other", ["u"], NOW) == {}


async def test_newer_match_keys_win_and_others_stay(store: Store) -> None:
    """Of one person, whom the external id tells; of another nothing stays."""
    first = taught("a", "u", email="e1", external_id="x")
    await store.append([first, taught("b", "u", phone="p", external_id="x")])
    lasting = taught("c", "u", lasts=timedelta(days=3), email="e3", external_id="x")
    await store.append([lasting])
    late = NOW + timedelta(days=3) - LEASE
    found = await store.remembered("default", ["u"], late)
    assert found == {"u": {"tiktok": {"email": "e3", "phone": "p", "external_id": "x"}}}
    assert await store.remembered("default", ["u"], NOW + timedelta(days=3)) == {}


async def test_of_another_person_and_of_nobody_nothing_is_remembered(store: Store) -> None:
    await store.append([taught("a", "u"), taught("b", "u", "null", email="e2")])
    found = await store.remembered("default", ["u", "null"], NOW)
    assert found == {"u": {"tiktok": {"email": "e2"}}}


async def test_what_expired_is_not_merged_with(store: Store) -> None:
    await store.append([taught("a", "u", lasts=timedelta(hours=1))])
    later = replace(taught("b", "u", external_id="x"), received_at=NOW + timedelta(hours=1))
    await store.append([later])
    found = await store.remembered("default", ["u"], NOW + timedelta(hours=2))
    assert found == {"u": {"tiktok": {"external_id": "x"}}}


async def test_a_copy_teaches_nothing(store: Store) -> None:
    await store.append([of("a", "u")])
    await store.append([taught("a", "u")])
    assert await store.remembered("default", ["u"], NOW) == {}


async def test_match_keys_outlive_their_event_and_then_go(store: Store) -> None:
    """They are there until they expire, and removed by the sweep afterwards."""
    unused = replace(taught("a", "u", lasts=timedelta(days=60)), deliveries=())
    await store.append([replace(unused, disposition=Disposition.UNMATCHED)])
    late = NOW + timedelta(days=59)
    await sweep(store, late)
    assert await kept(store) == []
    assert await store.remembered("default", ["u"], late) != {}
    assert (await store.forgettable({"u"}, None, late)).match_keys == 2
    await sweep(store, NOW + timedelta(days=60))
    assert (await store.forgettable({"u"}, None, late)).match_keys == 0, "the row itself is gone"


async def sweep(store: Store, now: object) -> None:
    assert isinstance(now, type(NOW))
    while not (await store.sweep(Retention(), now)).is_done:
        pass


@pytest.mark.parametrize("user", ["u", "a"])
async def test_match_keys_go_with_what_was_learned_together(store: Store, user: str) -> None:
    """The anonymousId of a person must not go on giving the e-mail of whom was forgotten."""
    await store.append([taught("1", "u", "a"), taught("2", "u2", email="other")])
    await store.append([taught("3", "u", "a", source="second")])
    assert (await store.forget({user}, "default", NOW)).match_keys == 4
    assert await store.remembered("default", ["u", "a"], NOW) == {}
    assert set(await store.remembered("second", ["u", "a"], NOW)) == {"u", "a"}
    assert set(await store.remembered("default", ["u2"], NOW)) == {"u2"}
    assert (await store.forget({user}, None, NOW)).match_keys == 4
    await store.append([taught("4", "a", email="new")])
    assert (await store.forget({"u"}, None, NOW)).match_keys == 0, "no bond is left"


async def test_what_is_forgotten_does_not_come_back_with_new_keys(store: Store) -> None:
    await store.append([taught("1", "u")])
    await store.forget({"u"}, None, NOW)
    await store.append([taught("2", "u", email="e9")])
    assert await store.remembered("default", ["u"], NOW) == {"u": {"tiktok": {"email": "e9"}}}
