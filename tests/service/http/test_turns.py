"""Large requests wait for each other, and long work lets others in between."""

from __future__ import annotations

import asyncio

from conversion_relay.service.http.turns import Pace, Turns, paced


async def test_turns_come_one_by_one_in_order() -> None:
    turns = Turns(max_waiting_bytes=100)
    seen: list[str] = []

    async def take(name: str) -> None:
        async with turns.turn(10):
            seen.append(f"{name} begins")
            await asyncio.sleep(0)
            seen.append(f"{name} ends")

    await asyncio.gather(take("first"), take("second"))
    assert seen == ["first begins", "first ends", "second begins", "second ends"]


async def test_only_so_much_may_wait_but_one_alone_may_be_larger() -> None:
    turns = Turns(max_waiting_bytes=100)
    assert turns.has_room(1000)
    async with turns.turn(60):
        assert turns.has_room(40)
        assert not turns.has_room(41)
    assert turns.has_room(1000)


async def test_a_turn_ends_with_a_fault_too() -> None:
    turns = Turns(max_waiting_bytes=100)
    task = asyncio.create_task(_fail(turns))
    await asyncio.wait([task])
    assert isinstance(task.exception(), ZeroDivisionError)
    async with asyncio.timeout(5), turns.turn(10):
        assert turns.has_room(90)


async def _fail(turns: Turns) -> None:
    async with turns.turn(100):
        raise ZeroDivisionError


async def test_long_work_lets_others_in_between() -> None:
    others: list[str] = []
    asyncio.get_running_loop().call_soon(others.append, "served")
    pace = Pace()
    await pace.breathe()
    assert not others, "a slice is not over at once"
    while not others:
        await pace.breathe()


async def test_steps_without_a_result_let_others_in_between_too() -> None:
    others: list[str] = []
    asyncio.get_running_loop().call_soon(others.append, "served")
    steps = (None if number < 10**7 and not others else number for number in range(10**8))
    async for first in paced(steps):
        assert others
        assert first > 0
        return
