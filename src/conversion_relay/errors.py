"""Every exception of the project.

Expected outcomes (a rejected event, a refused delivery) are values, not exceptions. An exception
means a bug, a wrong configuration or broken infrastructure::

    RelayError
    ├── ConfigurationError        the operator has to change something; stops the start-up
    │   ├── DatabaseInUse         another process owns the database
    │   ├── TriggerError          a trigger that cannot be read; carries the column
    │   ├── MappingError          a mapping that cannot be compiled or resolved; carries them all
    │   └── PresetError           a preset file or set that cannot be used
    └── StoreError                the store cannot do what was asked
        ├── SealingError          a sealed value cannot be opened: no key, or changed
        ├── StoreBusy             for the moment: its queue is full
        └── StoreUnavailable      disk full, locked, closed or broken
"""

from __future__ import annotations

from dataclasses import dataclass


class RelayError(Exception):
    """Anything this project raises on purpose."""


class ConfigurationError(RelayError):
    """The configuration cannot be used; the message says what was found and what to do."""


class DatabaseInUse(ConfigurationError):
    """Another process owns the database."""


class TriggerError(ConfigurationError):
    """A trigger's text cannot be read.

    Attributes:
        text: the trigger as it was given.
        column: where the problem is, counted from 1.
        problem: what was found, what was expected and, where it helps, what to write instead.
    """

    def __init__(self, text: str, column: int, problem: str) -> None:
        self.text = text
        self.column = column
        self.problem = problem
        super().__init__(f"{problem} (column {column})\n{self.excerpt()}")

    def excerpt(self, width: int = 76) -> str:
        """The part of the trigger around the column, with a caret under it."""
        start = max(0, self.column - 1 - width // 2)
        part = self.text[start : start + width]
        visible = "".join(char if char.isprintable() else " " for char in part)
        return f"  {visible}\n  {' ' * (self.column - 1 - start)}^"


@dataclass(frozen=True, slots=True)
class MappingProblem:
    """One thing wrong with a mapping.

    Attributes:
        pointer: JSON pointer (RFC 6901) to the place inside the mapping; "" is the mapping itself.
        sentence: what was found there and what is expected.
    """

    pointer: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.pointer or '/'}: {self.sentence}"


class MappingError(ConfigurationError):
    """A mapping cannot be compiled, or a compiled one cannot be resolved for an event."""

    def __init__(self, problems: tuple[MappingProblem, ...]) -> None:
        self.problems = problems
        super().__init__("; ".join(str(problem) for problem in problems))


class PresetError(ConfigurationError):
    """A preset file cannot be found, read or used."""


class StoreError(RelayError):
    """The store cannot do what was asked."""


class SealingError(StoreError):
    """A sealed value cannot be opened: its key is not at hand, or it was changed or moved."""


class StoreBusy(StoreError):
    """The queue of the writer is full: the caller should try again in a moment."""


class StoreUnavailable(StoreError):
    """Nothing can be written: disk full, file locked, store closed or broken."""
