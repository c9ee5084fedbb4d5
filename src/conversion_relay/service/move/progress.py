"""How far a move has come, as the new store keeps it: text, and back. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TypedDict, cast

import orjson

from conversion_relay.service.store.moving import Row, Value


class _Bytes(TypedDict):
    hex: str


class _Kept(TypedDict):
    after: dict[str, list[str | int | _Bytes]]
    done: list[str]
    tallies: dict[str, int]


@dataclass(slots=True)
class MoveProgress:
    """How far it is.

    Attributes:
        after: of each part that was begun, the key of its last row that is there.
        done: the parts that are there as a whole.
        tallies: how many rows came, by table, and what could not be opened.
    """

    after: dict[str, Row] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    tallies: Counter[str] = field(default_factory=Counter)

    @staticmethod
    def of(text: str) -> MoveProgress:
        """What the text says; of an empty one, nothing came yet."""
        if not text:
            return MoveProgress()
        kept = cast("_Kept", orjson.loads(text))
        return MoveProgress(
            {part: tuple(_value_of(one) for one in key) for part, key in kept["after"].items()},
            set(kept["done"]),
            Counter(kept["tallies"]),
        )

    def text(self) -> str:
        """As it is kept."""
        kept = {
            "after": {part: [_kept(one) for one in key] for part, key in self.after.items()},
            "done": sorted(self.done),
            "tallies": self.tallies,
        }
        return orjson.dumps(kept).decode()


def _kept(value: Value) -> Value | _Bytes:
    return {"hex": value.hex()} if isinstance(value, bytes) else value


def _value_of(value: str | int | _Bytes) -> Value:
    return bytes.fromhex(value["hex"]) if isinstance(value, dict) else value
