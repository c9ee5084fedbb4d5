"""A log that keeps its lines, for tests that read them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Lines:
    """Implements the service's log."""

    lines: list[tuple[str, str, dict[str, object]]] = field(default_factory=list)

    def info(self, event: str, **details: object) -> None:
        """Keeps the line."""
        self.lines.append(("info", event, details))

    def warning(self, event: str, **details: object) -> None:
        """Keeps the line."""
        self.lines.append(("warning", event, details))

    def error(self, event: str, **details: object) -> None:
        """Keeps the line."""
        self.lines.append(("error", event, details))

    @property
    def events(self) -> list[str]:
        """The names of the events, in order."""
        return [event for _, event, _ in self.lines]
