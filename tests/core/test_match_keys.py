"""What is remembered of whom, and in which events it is filled in; with a toy destination."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.core.event import SegmentEvent
from conversion_relay.core.filters import ConsentRule
from conversion_relay.core.match_keys import (
    EMAIL,
    EXTERNAL_ID,
    MAX_SUBJECT_CHARACTERS,
    PHONE,
    Keys,
    Memory,
    is_somebody,
    merged,
    subjects_of,
)
from conversion_relay.core.plan import Plan, Target, plan
from conversion_relay.core.values import Json, JsonObject
from support.toy import target

NOW = datetime(2026, 1, 10, tzinfo=UTC)
TOY = target()


def event(kind: str, **parts: Json) -> SegmentEvent:
    parsed = SegmentEvent.parse({"type": kind, "messageId": "m", **parts})
    assert isinstance(parsed, SegmentEvent)
    return parsed


def identify(**parts: Json) -> SegmentEvent:
    ids = {name: parts.pop(name) for name in ("userId", "anonymousId") if name in parts}
    return event("identify", **ids, traits=parts)


def hello(**parts: Json) -> SegmentEvent:
    ids = {name: parts.pop(name) for name in ("userId", "anonymousId") if name in parts}
    return event("track", event="Hello", properties={"name": "Ada", **parts}, **ids)


def took(one: SegmentEvent, memory: Memory, where: Target = TOY) -> Plan:
    """The plan of the event, with what it teaches in the memory from then on."""
    planned = plan(one, [where], NOW, memory)
    memory.learn(subjects_of(one.payload), planned.lessons)
    return planned


def sent(*events: SegmentEvent, memory: Memory | None = None, where: Target = TOY) -> JsonObject:
    """What is sent of the last of the events, without what every greeting has."""
    known = Memory() if memory is None else memory
    for one in events[:-1]:
        took(one, known, where)
    (delivery,) = took(events[-1], known, where).deliveries
    body: JsonObject = orjson.loads(delivery.body)
    return {key: value for key, value in body.items() if key not in {"name", "at"}}


ADA = identify(userId="ada", anonymousId="phone-1", email="ADA@shop", phone="4930")
ALL = {"email": "ada@shop", "phones": ["4930"], "id": "ada"}


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (hello(userId="ada"), ALL),
        (hello(anonymousId="phone-1"), ALL),
        (hello(userId="ada", anonymousId="another"), ALL),
        (hello(userId="ada", anonymousId="phone-1"), ALL),
        (hello(userId="ada", email="mine"), ALL | {"email": "mine"}),
        (hello(userId="ada", email="  "), ALL),
        (hello(userId="ada", phones=["", " "]), ALL),
        (hello(userId="ada", phones=["1", ""]), ALL | {"phones": ["1", ""]}),
        (hello(userId="ada", email=["x"]), ALL | {"email": "x"}),
        (hello(anonymousId="phone-1", id="phone-1"), ALL | {"id": "phone-1"}),
        (hello(userId="eve"), {}),
        (hello(anonymousId="phone-2"), {}),
        (hello(), {}),
    ],
)
def test_a_later_event_of_the_person_is_filled(later: SegmentEvent, expected: JsonObject) -> None:
    assert sent(ADA, later) == {
        key: [one for one in value if one] if isinstance(value, list) else value
        for key, value in expected.items()
    }


def test_nothing_is_filled_before_it_was_told_nor_in_the_event_itself() -> None:
    itself = hello(userId="ada")
    told = SegmentEvent({**itself.payload, "context": {"traits": {"email": "a@b"}}}, "track", "m")
    assert sent(told) == {}
    assert sent(told, itself) == {"email": "a@b", "id": "ada"}


def test_which_fields_were_filled_is_said() -> None:
    memory = Memory()
    took(ADA, memory)
    planned = took(hello(userId="ada", email="mine"), memory)
    (delivery,) = planned.deliveries
    assert delivery.filled == {PHONE, EXTERNAL_ID}
    assert delivery.keys == {EMAIL, PHONE, EXTERNAL_ID, "name"}
    assert {note.field for note in planned.filled} == {"phones", "id"}
    assert all("filled in from an earlier identify" in note.reason for note in planned.filled)


@pytest.mark.parametrize(
    ("teacher", "taught"),
    [
        (identify(userId="ada", email="a@b"), {EMAIL: "a@b", EXTERNAL_ID: "ada"}),
        (identify(anonymousId="x", email="a@b"), {EMAIL: "a@b"}),
        (identify(userId="ada", phone=4930), {PHONE: "4930", EXTERNAL_ID: "ada"}),
        (identify(userId=311, email="a@b"), {EMAIL: "a@b", EXTERNAL_ID: "311"}),
        (identify(userId="ada", anonymousId="x"), {EXTERNAL_ID: "ada"}),
        (event("track", userId="ada", anonymousId="x"), {EXTERNAL_ID: "ada"}),
        (event("alias", userId="ada", previousId="x"), None),
        (event("track", userId="ada"), None),
        (event("track", anonymousId="x"), None),
        (
            event("page", anonymousId="x", context={"traits": {"email": "a@b", "phone": "1"}}),
            {EMAIL: "a@b", PHONE: "1"},
        ),
        (
            event(
                "identify",
                anonymousId="x",
                traits={"email": "new@b"},
                context={"traits": {"email": "old@b", "phone": "1"}},
            ),
            {EMAIL: "new@b", PHONE: "1"},
        ),
        (event("group", anonymousId="x", traits={"email": "office@b"}), None),
        (event("track", anonymousId="x", traits={"email": "a@b"}), None),
        (event("delete", userId="ada", anonymousId="x", context={"traits": {"email": "a"}}), None),
        (identify(anonymousId="x", email="not an address"), None),
        (identify(anonymousId="x", email="a" * 600), None),
        (identify(anonymousId="x", email=["a@b"], phone=None), None),
        (identify(anonymousId="x", email=True), None),
        (event("identify", anonymousId="x", traits="a@b", context=7), None),
        (identify(userId="undefined", anonymousId="null", email="a@b"), {EMAIL: "a@b"}),
    ],
)
def test_what_an_event_teaches(teacher: SegmentEvent, taught: Keys | None) -> None:
    lessons = plan(teacher, [TOY], NOW, Memory()).lessons
    assert [dict(one.keys) for one in lessons] == ([] if taught is None else [taught])
    assert [one.destination for one in lessons] == ["toy"] * len(lessons)


def test_who_says_nothing_new_is_not_written_down_again_unless_it_is_an_identify() -> None:
    memory = Memory()
    took(ADA, memory)
    linked = event("track", userId="ada", anonymousId="phone-1")
    assert not plan(linked, [TOY], NOW, memory).lessons
    assert plan(event("track", userId="ada", anonymousId="new"), [TOY], NOW, memory).lessons
    assert plan(ADA, [TOY], NOW, memory).lessons


BEN_ON_HER_DEVICE = {"userId": "ben", "anonymousId": "phone-1"}


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([ADA, hello(**BEN_ON_HER_DEVICE)], {}, id="another user on the device"),
        pytest.param(
            [ADA, identify(**BEN_ON_HER_DEVICE, email="b@b"), hello(anonymousId="phone-1")],
            {"email": "b@b", "id": "ben"},
            id="the device is of the last who said who they are",
        ),
        pytest.param(
            [ADA, event("track", **BEN_ON_HER_DEVICE), hello(anonymousId="phone-1")],
            {"id": "ben"},
            id="a link alone makes it theirs",
        ),
        pytest.param(
            [ADA, identify(**BEN_ON_HER_DEVICE, email="b@b"), hello(userId="ada")],
            ALL,
            id="the user keeps what was told of the user",
        ),
        pytest.param(
            [ADA, hello(anonymousId="phone-1", email="b@b")],
            {"email": "b@b"},
            id="an unknown visitor with another address",
        ),
        pytest.param(
            [ADA, hello(anonymousId="phone-1", email="Ada@shop")],
            ALL | {"email": "Ada@shop"},
            id="an unknown visitor with the same address",
        ),
        pytest.param(
            [ADA, identify(anonymousId="phone-1", email="b@b"), hello(anonymousId="phone-1")],
            {"email": "b@b"},
            id="an unknown visitor tells another address",
        ),
        pytest.param(
            [
                identify(userId="ben", email="b@b"),
                identify(anonymousId="phone-1", email="c@c", phone="7"),
                hello(**BEN_ON_HER_DEVICE),
            ],
            {"email": "b@b", "id": "ben"},
            id="user and device name different addresses",
        ),
        pytest.param(
            [identify(anonymousId="phone-1", email="c@c"), hello(**BEN_ON_HER_DEVICE)],
            {"email": "c@c"},
            id="a device of somebody unknown until they log in",
        ),
        pytest.param(
            [
                ADA,
                identify(userId="ada", anonymousId="laptop", email="new@shop"),
                hello(userId="ada", anonymousId="phone-1"),
            ],
            ALL | {"email": "new@shop"},
            id="the same user with a newer address",
        ),
    ],
)
def test_people_are_never_mixed(events: list[SegmentEvent], expected: JsonObject) -> None:
    assert sent(*events) == expected


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("ada", True),
        ("7", True),
        ("a" * MAX_SUBJECT_CHARACTERS, True),
        ("a" * (MAX_SUBJECT_CHARACTERS + 1), False),
        ("", False),
        (" Undefined ", False),
        ("00000000-0000-0000-0000-000000000000", False),
        ("0", False),
        (" 0000 ", False),
        ("-", False),
        ("100", True),
    ],
)
def test_who_is_somebody(subject: str, expected: bool) -> None:
    assert is_somebody(subject) is expected


def test_what_faulty_pages_send_for_an_id_is_nobody() -> None:
    told = identify(userId="undefined", email="a@b")
    assert sent(told, hello(userId="undefined")) == {}
    long = "a" * (MAX_SUBJECT_CHARACTERS + 1)
    assert sent(identify(userId=long, email="a@b"), hello(userId=long)) == {}


@pytest.mark.parametrize(
    ("payload", "subjects"),
    [
        ({"userId": "u", "anonymousId": "a"}, ("u", "a")),
        ({"anonymousId": "a"}, ("a",)),
        ({"userId": "u", "anonymousId": "u"}, ("u",)),
        ({"userId": 5, "anonymousId": 5.5}, ("5", "5.5")),
        ({"userId": "u", "previousId": "p"}, ("u", "p")),
        ({"userId": "u", "anonymousId": "a", "previousId": "p"}, ("u", "a")),
        ({"userId": " ", "anonymousId": None}, ()),
        ({"userId": True, "anonymousId": ["a"]}, ()),
        ({"userId": "\ud800"}, ("\ufffd",)),
        ({"userId": "undefined" * 400}, ("undefined" * 400,)),
        (["u"], ()),
        (None, ()),
    ],
)
def test_whose_an_event_is(payload: Json, subjects: tuple[str, ...]) -> None:
    assert subjects_of(payload) == subjects


def test_a_destination_that_may_not_get_the_event_learns_nothing_of_it() -> None:
    silent = SegmentEvent({**ADA.payload, "integrations": {"Toy": False}}, "identify", "m")
    assert sent(silent, hello(userId="ada")) == {}
    strict = Target("toy", TOY.destination, TOY.presets, consent=ConsentRule(("ads",)))
    assert plan(ADA, [strict], NOW, Memory()).lessons == ()


def test_destinations_do_not_share_what_they_know() -> None:
    other = Target("other", TOY.destination, TOY.presets)
    memory = Memory()
    took(ADA, memory)
    assert sent(hello(userId="ada"), memory=memory, where=other) == {}


def test_what_was_remembered_before_is_where_it_begins() -> None:
    known = {"phone-1": {"toy": {EMAIL: "old@b", PHONE: "1"}}}
    assert sent(hello(anonymousId="phone-1"), memory=Memory(known)) == {
        "email": "old@b",
        "phones": ["1"],
    }
    told = identify(anonymousId="phone-1", phone="1")
    assert sent(told, hello(anonymousId="phone-1"), memory=Memory(known))["email"] == "old@b"
    assert known == {"phone-1": {"toy": {EMAIL: "old@b", PHONE: "1"}}}


KEYS = st.dictionaries(
    st.sampled_from([EMAIL, PHONE, EXTERNAL_ID]), st.sampled_from(["a", "b", "c"])
)
IDS = st.fixed_dictionaries(
    {},
    optional={
        "userId": st.sampled_from(["ada", "ben", 7, "", None]),
        "anonymousId": st.sampled_from(["phone-1", "laptop", "null", None]),
    },
)
OWN: st.SearchStrategy[Mapping[str, Json]] = st.fixed_dictionaries(
    {},
    optional={
        "email": st.sampled_from(["a", "b", "", " ", ["c"], None]),
        "phones": st.sampled_from([["a"], ["a", "b"], [], "c", ["", None]]),
        "id": st.sampled_from(["a", "", "z"]),
    },
)
MEMORIES = st.dictionaries(
    st.sampled_from(["ada", "ben", "7", "phone-1", "laptop"]), st.fixed_dictionaries({"toy": KEYS})
)


@given(KEYS, KEYS)
def test_the_newer_holds_and_nothing_of_another_person(old: Keys, new: Keys) -> None:
    both = merged(old, new)
    assert both.items() >= new.items()
    assert both.items() <= {**old, **new}.items()
    if EXTERNAL_ID in old and EXTERNAL_ID in new and old[EXTERNAL_ID] != new[EXTERNAL_ID]:
        assert both == new
    assert merged(both, new) == both


@given(MEMORIES, IDS, OWN)
def test_what_is_given_is_never_overwritten(
    known: Mapping[str, Mapping[str, Keys]], ids: Mapping[str, Json], own: Mapping[str, Json]
) -> None:
    one = hello(**ids, **own)
    without, filled = sent(one), sent(one, memory=Memory(known))
    assert filled.items() >= {k: v for k, v in without.items() if _has_value(v)}.items()
    assert filled == sent(one, memory=Memory(known))
    added = {key for key in filled if filled[key] != without.get(key)}
    about = {str(value) for value in ids.values()}
    values = {value for who in about for value in known.get(who, {}).get("toy", {}).values()}
    for key in added:
        found = filled[key]
        assert (found[0] if isinstance(found, list) else found) in values


def _has_value(value: Json) -> bool:
    return any(map(_has_value, value)) if isinstance(value, list) else str(value).strip() != ""


@given(IDS, OWN)
def test_without_memory_nothing_is_taught_and_the_body_is_the_same(
    ids: Mapping[str, Json], own: Mapping[str, Json]
) -> None:
    one = hello(**ids, **own)
    off, empty = plan(one, [TOY], NOW), plan(one, [TOY], NOW, Memory())
    assert off.deliveries == empty.deliveries
    assert (off.lessons, off.filled) == ((), ())
