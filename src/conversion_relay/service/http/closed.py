"""The ways in of a node that takes no events: each answers where to go, and nothing is lost.

Who posts comes again, as Segment does for hours. Nothing of the request is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from conversion_relay.service.http import refusals
from conversion_relay.service.http.intake import Intake

_NOBODY: Final = "unknown"
_REFUSED: Final = {"/webhook/": "webhook.refused", "/v1/": "tracking.refused"}
"""What the log calls it, by how the path begins."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The ASGI endpoint in the place of one that takes events.

    Attributes:
        intake: whose log and counters say it.
        event: what the log calls it.
    """

    intake: Intake
    event: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        problem = refusals.delivers_only()
        problem = replace(problem, members={"code": problem.slug, "message": problem.detail})
        self.intake.log.warning(
            self.event,
            source=self.intake.accounts.refuse(_NOBODY, problem.slug),
            status=problem.status.value,
            problem=problem.slug,
            detail=problem.detail,
        )
        await problem.response()(scope, receive, send)


def closed(ways_in: Iterable[Route], intake: Intake) -> Sequence[Route]:
    """The same paths, closed."""
    return [
        Route(way.path, Closed(intake, _event(way.path)), methods=sorted(way.methods or ()))
        for way in ways_in
    ]


def _event(path: str) -> str:
    return next(event for start, event in _REFUSED.items() if path.startswith(start))
