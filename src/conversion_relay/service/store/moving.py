"""What travels from one store to another when a service moves: rows, as values. Knows no engine.

Two narrow ports, one for each end. A row is what stands in a table, texts and numbers as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from conversion_relay.service.sealing import Sealer

Value: TypeAlias = str | int | float | bytes | None
Row: TypeAlias = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class MoveMark:
    """What an old store says of its move.

    Attributes:
        origin: its name, drawn when the move began.
        place: where it moves, without password.
        is_finished: nothing is left to do.
    """

    origin: str
    place: str
    is_finished: bool = False


@dataclass(frozen=True, slots=True)
class MoveStanding:
    """What a new store says of the move.

    Attributes:
        progress: what was kept last with it; "" of one that just began.
        is_finished: the store may be served.
    """

    progress: str
    is_finished: bool = False


class Origin(Protocol):
    """The old store. Nobody serves it meanwhile; it does not change but for its mark."""

    @property
    def sealer(self) -> Sealer:
        """Opens what is kept there."""
        ...

    @property
    def subject_key(self) -> bytes:
        """The key of the hashes of persons' ids."""
        ...

    @property
    def last_numbers(self) -> tuple[int, int]:
        """The highest ids of an event and of a delivery that ever were."""
        ...

    def mark(self) -> MoveMark | None:
        """What it says of its move; None: it does not move."""
        ...

    def set_mark(self, mark: MoveMark | None) -> None:
        """Say something else of it; it lasts when this returns."""
        ...

    def counts(self) -> Mapping[str, int]:
        """How much there is, by kind."""
        ...

    def sizes(self) -> Mapping[str, int]:
        """How many rows the large parts have."""
        ...

    def page(self, part: str, after: Row, limit: int) -> Sequence[Row]:
        """The next rows of a part, in the order of their keys, which stand first in each."""
        ...


class Target(Protocol):
    """The new store.

    Every method that waits raises StoreUnavailable when the database does not do it; it may have
    been done all the same.
    """

    @property
    def sealer(self) -> Sealer:
        """Seals what is kept there."""
        ...

    def id_of(self, received_at: int, number: int) -> int:
        """The id here of what had that id there; of an event received at this microsecond."""
        ...

    async def standing(self, origin: str | None) -> MoveStanding | None:
        """How far a move from there has come; None: none began, and one may.

        Raises:
            ConfigurationError: there is something here already, or somebody works with it.
        """
        ...

    async def begin(self, origin: str) -> None:
        """Nobody works with it from now on until the move is finished."""
        ...

    async def keep(self, origin: str, rows: Mapping[str, Sequence[Row]], progress: str) -> None:
        """Keep rows by table, and how far it has come, all or none; what is there stays."""
        ...

    async def counts(self) -> Mapping[str, int]:
        """How much there is, by kind."""
        ...

    async def finish(self, origin: str, last_numbers: tuple[int, int]) -> None:
        """It may be served; new ids are higher than all that came."""
        ...
