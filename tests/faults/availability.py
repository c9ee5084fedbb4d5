"""How the ingest looked to Segment, which posts again what was not acknowledged. Counts only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LEAST_AVAILABILITY: Final = 0.9999


@dataclass(slots=True)
class Availability:
    """How the ingest looked to Segment.

    Attributes:
        requests: that Segment wanted to be rid of.
        tries: how often it posted them.
        refused: connections that nobody took.
        given_up: requests that were not acknowledged after all its tries.
        longest_seconds: from the first try of a request to its acknowledgement.
    """

    requests: int = 0
    tries: int = 0
    refused: int = 0
    given_up: int = 0
    longest_seconds: float = 0.0

    @property
    def share(self) -> float:
        """Of the requests that were acknowledged in the end."""
        return 1 - self.given_up / self.requests if self.requests else 1.0

    def add(self, other: Availability) -> None:
        """Both together."""
        self.requests += other.requests
        self.tries += other.tries
        self.refused += other.refused
        self.given_up += other.given_up
        self.longest_seconds = max(self.longest_seconds, other.longest_seconds)

    def __str__(self) -> str:
        again = self.tries - self.requests
        return (
            f"availability {self.share:.4%} of {self.requests:,} requests ({again:,} posted "
            f"again, {self.refused} refused at the front, longest {self.longest_seconds:.1f} s)"
        )
