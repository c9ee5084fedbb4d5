"""What every store promises of the memory of persons: it never mixes two of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from conversion_relay.core.match_keys import EMAIL, EXTERNAL_ID, PHONE, Keys, Lesson, Memory
from conversion_relay.service.store.port import Learned, NewEvent, Store
from service.store.examples import NOW, event

LASTS = timedelta(days=30)
ADA, BEN = {EXTERNAL_ID: "ada", EMAIL: "a"}, {EXTERNAL_ID: "ben"}
_VALUES = {EMAIL: ("a", "b"), PHONE: ("1", "2"), EXTERNAL_ID: ("ada", "ben")}


def teaching(number: int, keys: Keys, *subjects: str) -> NewEvent:
    learned = (Learned("tiktok", keys, NOW + LASTS),)
    return replace(event(f"m-{number}"), subjects=subjects, learned=learned)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([ADA, {PHONE: "1"}], ADA | {PHONE: "1"}),
        ([ADA, BEN], BEN),
        ([ADA, BEN, {PHONE: "1"}, ADA], ADA),
        ([ADA, {EMAIL: "b"}], {EMAIL: "b"}),
        ([ADA, ADA | {EMAIL: "b", PHONE: "1"}], ADA | {EMAIL: "b", PHONE: "1"}),
        ([{EMAIL: "b"}, ADA], ADA),
    ],
)
async def test_of_another_person_nothing_stays(
    store: Store, told: Sequence[Keys], expected: Keys
) -> None:
    for number, keys in enumerate(told):
        await store.append([teaching(number, keys, "one-by-one")])
    await store.append([teaching(100 + number, keys, "all") for number, keys in enumerate(told)])
    source = event("m").source
    found = await store.remembered(source, ["one-by-one", "all"], NOW)
    assert found == {who: {"tiktok": expected} for who in ("one-by-one", "all")}


@pytest.mark.parametrize("seed", range(5))
async def test_a_store_remembers_what_the_memory_of_a_request_does(
    store: Store, seed: int
) -> None:
    dice, memory, number = random.Random(seed), Memory(), 0  # noqa: S311 - no secret
    for _ in range(12):
        batch = []
        for _ in range(dice.randrange(1, 5)):
            kinds = dice.sample(sorted(_VALUES), dice.randrange(1, 4))
            keys = {kind: dice.choice(_VALUES[kind]) for kind in kinds}
            subjects = dice.sample(["ada", "ben", "phone-1"], dice.randrange(1, 3))
            memory.learn(subjects, [Lesson("tiktok", keys)])
            batch.append(teaching(number := number + 1, keys, *subjects))
        await store.append(batch)
    who = ["ada", "ben", "phone-1"]
    found = await store.remembered(event("m").source, who, NOW)
    assert found == {one: {"tiktok": memory.of(one, "tiktok")} for one in who}


@pytest.mark.parametrize(
    "subject", ["undefined", "00000000-0000-0000-0000-000000000000", "a" * 257]
)
async def test_of_nobody_nothing_is_remembered(store: Store, subject: str) -> None:
    await store.append([teaching(1, ADA, subject, "ada")])
    found = await store.remembered(event("m").source, [subject, "ada"], NOW)
    assert found == {"ada": {"tiktok": ADA}}
    assert (await store.forget({subject}, None, NOW)).match_keys == 0
