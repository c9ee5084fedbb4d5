"""A lane as a text, and back. Pure."""

from __future__ import annotations

from typing import Final

from pydantic import TypeAdapter

from conversion_relay.core.lane import Lane

_LANE: Final = TypeAdapter(Lane)


def words_of(lane: Lane) -> str:
    """The lane as JSON."""
    return _LANE.dump_json(lane).decode()


def lane_of(words: str) -> Lane:
    """The lane of these words: what this release does not know is left out, what is missing new.

    Raises:
        ValueError: they are none, or name a condition that this release does not know.
    """
    return _LANE.validate_json(words)
