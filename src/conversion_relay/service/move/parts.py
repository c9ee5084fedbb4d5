"""What moves, as a table: in which order, how much at once, and what becomes of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from conversion_relay.service.move import anew
from conversion_relay.service.store.moving import Row


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of rows.

    Attributes:
        name: as the old store calls it.
        before: a key that is smaller than that of any row.
        at_once: so many rows go together.
        change: what becomes of them.
        words: for people who wait; "" of what is done in a moment.
    """

    name: str
    before: Row
    at_once: int
    change: anew.Change
    words: str = ""


_NO_ID: Final[Row] = (-1,)
_NO_KEY: Final[Row] = ("", "")
PARTS: Final = (
    Part("envelopes", _NO_ID, 5_000, anew.as_it_is("envelopes")),
    Part("lanes", ("",), 5_000, anew.as_it_is("lanes")),
    Part("alerts", _NO_ID, 1_000, anew.as_it_is("alerts")),
    Part("configurations", _NO_ID, 10, anew.configurations),
    Part("match_key_counts", (-1, "", ""), 5_000, anew.as_it_is("match_key_counts")),
    Part("bonds", (b"", "", b""), 5_000, anew.as_it_is("match_key_bonds")),
    Part("match_keys", (b"", "", ""), 2_000, anew.match_keys, "persons' match keys"),
    Part("flow", (-1, "", ""), 5_000, anew.as_it_is("flow"), "minutes of the flow"),
    Part("requests", _NO_ID, 5_000, anew.as_it_is("requests"), "requests"),
    Part("ledger_slots", _NO_ID, 10, anew.ledger_slots),
    Part("ledger_0", _NO_KEY, 5_000, anew.ledger(0), "messageIds"),
    Part("ledger_1", _NO_KEY, 5_000, anew.ledger(1), "messageIds"),
    Part("ledger_2", _NO_KEY, 5_000, anew.ledger(2), "messageIds"),
    Part("events", _NO_ID, 5_000, anew.events, "events"),
    Part("originals", _NO_ID, 30, anew.originals, "chunks of originals"),
    Part("deliveries", _NO_ID, 2_000, anew.deliveries, "deliveries"),
    Part("attempts", (-1, -1), 5_000, anew.attempts, "attempts"),
)
