"""Who waited longest without a complete request gives way; nobody else does."""

from __future__ import annotations

from dataclasses import dataclass

from conversion_relay.service.http.edge.door import Door, DoorLimits

_LIMITS = DoorLimits(max_header_bytes=1024, receive_seconds=30, head_seconds=10)


@dataclass(eq=False)
class _Guest:
    stays: bool = True

    def give_way(self) -> None:
        self.stays = False


def test_those_who_wait_give_way_in_the_order_they_began() -> None:
    away: list[str] = []
    door = Door(_LIMITS, 3, away.append)
    guests = [_Guest() for _ in range(4)]
    for guest in guests:
        door.wait(guest)
    door.leave(guests[0])  # its request is complete
    door.wait(guests[1])  # what is sent bit by bit gains no time
    assert door.has_room_for(3)
    assert all(guest.stays for guest in guests)
    assert door.has_room_for(4)
    assert [guest.stays for guest in guests] == [True, False, True, True]
    door.wait(guests[0])  # it was answered: now it waits behind the others
    assert door.has_room_for(4)
    assert door.has_room_for(4)
    assert [guest.stays for guest in guests] == [True, False, False, False]
    assert away == ["too-many-connections"] * 3


def test_there_is_no_room_while_everybody_is_served() -> None:
    door = Door(_LIMITS, 1, lambda _: None)
    assert not door.has_room_for(2)


def test_who_begins_a_request_waits_from_then_on() -> None:
    door = Door(_LIMITS, 1, lambda _: None)
    old, young, served = _Guest(), _Guest(), _Guest()
    door.wait(old)
    door.wait(young)
    door.begin(old)
    door.begin(served)  # it is not among those who wait
    assert door.has_room_for(2)
    assert (old.stays, young.stays) == (True, False)
    assert door.has_room_for(2)
    assert not door.has_room_for(2)
    assert served.stays
