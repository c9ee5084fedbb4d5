"""Names of events that may be told: the partner's own, and those that a mapping spells out.

A name that a mapping takes from an event could be anybody's, and anything. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from conversion_relay.core.plan import Target

Through: TypeAlias = tuple[str, str]
"""A destination and one of its mappings."""


def spelt_names(targets: Iterable[Target]) -> Iterator[tuple[Through, Sequence[str]]]:
    """The names of each mapping, its own first."""
    for target in targets:
        for preset in target.presets:
            spelt = preset.mapping.evaluate({}).payload.values()
            literals = [value for value in spelt if isinstance(value, str)]
            yield (target.name, preset.name), (*literals, *target.destination.event_names)
