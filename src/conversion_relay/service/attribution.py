"""Says in every line that a request causes which request it is, and of which event.

Follows the request through whatever its task awaits and starts. Knows no HTTP.
"""

from __future__ import annotations

import hashlib
import re
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Final, TypeAlias

from conversion_relay.service.logs import Log

_PLAIN_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,100}")
_Said: TypeAlias = dict[str, object]
_said: Final[ContextVar[_Said | None]] = ContextVar("said", default=None)


def begin(request_id: str) -> Token[_Said | None]:
    """From here on lines belong to this request; `end` takes what this gives."""
    return _said.set({"request_id": request_id})


def end(token: Token[_Said | None]) -> None:
    """Lines belong to no request again, or to the one from before."""
    _said.reset(token)


def concern(message_id: str) -> None:
    """The request holds this one event, as its further lines say."""
    said = _said.get()
    if said is not None:
        said["message_id"] = shown_id(message_id)


def shown_id(message_id: str) -> str:
    """The id as a log may hold it: a hash of one that could be anything, such as an address."""
    if _PLAIN_ID.fullmatch(message_id):
        return message_id
    digest = hashlib.sha256(message_id.encode(errors="surrogatepass")).hexdigest()
    return f"sha256:{digest[:32]}"


@dataclass(frozen=True, slots=True)
class Attributed:
    """A log whose lines say to which request they belong.

    Attributes:
        log: where they go.
    """

    log: Log

    def info(self, event: str, **details: object) -> None:
        """An ordinary decision."""
        self.log.info(event, **_with_request(details))

    def warning(self, event: str, **details: object) -> None:
        """Something that needs no one at once."""
        self.log.warning(event, **_with_request(details))

    def error(self, event: str, **details: object) -> None:
        """Something that needs someone."""
        self.log.error(event, **_with_request(details))


def _with_request(details: _Said) -> _Said:
    said = _said.get()
    return details if said is None else said | details
