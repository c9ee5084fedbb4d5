"""Whether an original is of certain users, where nothing beside it tells. Knows no database."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from conversion_relay.core.decoding import Undecodable, decode
from conversion_relay.core.match_keys import subjects_of
from conversion_relay.errors import SealingError
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.originals import Original, SealedOriginals, open_originals

_ESCAPED: Final = re.compile(r'[^ -~]|["/\\]')
"""What JSON may write in several ways."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose events are meant.

    Attributes:
        users: userIds or anonymousIds.
        source: whose events alone; None: of all sources.
        marks: the users' hashes, as they stand beside events.
        last: the newest event that is meant.
    """

    users: frozenset[str]
    source: str | None
    marks: frozenset[int]
    last: int


def search(
    chunks: Iterable[SealedOriginals], asked: Asked, sealer: Sealer, unread: frozenset[int] | None
) -> tuple[int, ...]:
    """The events in these chunks that are the users'.

    Args:
        chunks: of which nobody can read a damaged one, or tell whose events are in it.
        asked: who is meant.
        sealer: opens them.
        unread: if given, these events alone; the id of a user may stand anywhere in them.
    """
    return tuple(_search(chunks, asked, sealer, unread))


def _search(
    chunks: Iterable[SealedOriginals], asked: Asked, sealer: Sealer, unread: frozenset[int] | None
) -> Iterator[int]:
    likeness = _Likeness.of(asked.users)
    is_theirs = likeness.is_subject if unread is None else likeness.is_in
    for chunk in chunks:
        try:
            originals = open_originals(chunk, sealer)
        except SealingError:
            continue
        for one in originals:
            of_source = asked.source is None or one.source == asked.source
            is_meant = unread is None or one.event in unread
            if of_source and is_meant and is_theirs(one):
                yield one.event


@dataclass(frozen=True, slots=True)
class _Likeness:
    """How the ids of users look in an original.

    Attributes:
        always: the bytes that are there wherever an id is; empty when there are several ways.
    """

    users: frozenset[str]
    always: bytes

    @staticmethod
    def of(users: frozenset[str]) -> _Likeness:
        (user,) = users if len(users) == 1 else ("",)
        return _Likeness(users, b"" if _ESCAPED.search(user) else user.encode())

    def is_subject(self, original: Original) -> bool:
        """Whether it is one of theirs; decoding is for those where an id can be at all."""
        content = original.content
        if self.always not in content and b"\\u" not in content:
            return False
        text = content.decode(errors="surrogateescape")
        decoded = decode(text)
        if isinstance(decoded, Undecodable) or not isinstance(decoded.value, dict):
            return self._stands_in(text)
        return not self.users.isdisjoint(subjects_of(decoded.value))

    def is_in(self, original: Original) -> bool:
        """Whether it is, or an id stands in it as a word."""
        text = original.content.decode(errors="surrogateescape")
        return self._stands_in(text) or self.is_subject(original)

    def _stands_in(self, text: str) -> bool:
        there = (user for user in self.users if user in text)
        return any(re.search(rf"(?<!\w){re.escape(user)}(?!\w)", text) for user in there)
