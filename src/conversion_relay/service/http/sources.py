"""The configured sources as the ways in see them: who may post, where it goes, how much.

Can be exchanged while requests come in; each request ends with the source it began with. Knows no
HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from conversion_relay.core.plan import Target
from conversion_relay.service.http.signature import Credentials


@dataclass(frozen=True, slots=True)
class Source:
    """One configured source.

    Attributes:
        name: as configured; the path of its webhook ends with it.
        credentials: who may post.
        targets: the destinations its events go to.
        rate_limit: most events a second; None: any number.
        takes_visitor_ip: where an event has no ip, that of the connection is the visitor's.
        remembers_for: how long match keys are remembered; None: they are not.
    """

    name: str
    credentials: Credentials
    targets: tuple[Target, ...]
    rate_limit: int | None = None
    takes_visitor_ip: bool = False
    remembers_for: timedelta | None = None


@dataclass(slots=True)
class Sources:
    """All of them, by name and by write key."""

    _by_name: dict[str, Source] = field(default_factory=dict)
    _by_write_key: dict[bytes, str] = field(default_factory=dict)

    @staticmethod
    def of(sources: Iterable[Source]) -> Sources:
        """These sources."""
        found = Sources()
        found.exchange(sources)
        return found

    def __iter__(self) -> Iterator[Source]:
        return iter(tuple(self._by_name.values()))

    def get(self, name: str) -> Source | None:
        """The source of this name."""
        return self._by_name.get(name)

    def of_write_key(self, write_key: bytes) -> Source | None:
        """The source whose events carry this write key."""
        name = self._by_write_key.get(write_key)
        return None if name is None else self._by_name[name]

    def exchange(self, sources: Iterable[Source]) -> None:
        """From now on there are these, and no others."""
        self._by_name = {source.name: source for source in sources}
        self._by_write_key = {
            key: source.name for source in self for key in source.credentials.write_keys
        }
