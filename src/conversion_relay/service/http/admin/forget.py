"""Forgetting users: for an operator, and for Segment's `delete` events.

Knows the store by its port. Whom is said by nobody: neither the log nor an answer repeats an id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Self

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from conversion_relay.core.decoding import Decoded, Unusable
from conversion_relay.core.delivery import State
from conversion_relay.core.match_keys import subjects_of
from conversion_relay.core.values import JsonObject
from conversion_relay.errors import StoreError
from conversion_relay.service.http import refusals
from conversion_relay.service.http.problems import Problem
from conversion_relay.service.http.sources import Source
from conversion_relay.service.logs import Log
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.store.port import Forgotten, Store

PATH: Final = "/api/forget"
_DELETE: Final = "delete"
_IDS: Final = ("userId", "anonymousId")


class ForgetAsked(BaseModel):
    """Who is to be forgotten."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    user: Annotated[
        str, Field(min_length=1, repr=False, description="a userId or anonymousId, exactly")
    ]
    source: Annotated[str | None, Field(min_length=1, description="its events alone")] = None
    dry_run: Annotated[bool, Field(description="only count what would be erased")] = True


class ForgottenShown(BaseModel):
    """What was erased, or would be; nobody is named."""

    events: int
    originals: Annotated[int, Field(description="bytes as they came, of these events")]
    deliveries: Annotated[dict[State, int], Field(description="by the state they were in")]
    match_keys: Annotated[int, Field(description="remembered ones")]
    in_flight: Annotated[int, Field(description="deliveries that may still arrive")]

    @classmethod
    def of(cls, forgotten: Forgotten) -> Self:
        """The same as it is shown."""
        return cls(
            events=forgotten.events,
            originals=forgotten.originals,
            deliveries=dict(forgotten.deliveries),
            match_keys=forgotten.match_keys,
            in_flight=forgotten.in_flight,
        )


@dataclass(frozen=True, slots=True)
class Erasure:
    """Has the store forget users.

    Attributes:
        store: where everything is kept.
        clock: gives the present, aware.
        metrics: who was forgotten is counted there, and why.
        log: what was erased is told there, in numbers.
    """

    store: Store
    clock: Callable[[], datetime]
    metrics: Metrics
    log: Log

    async def ask(self, asked: ForgetAsked) -> Forgotten:
        """What an operator asks for.

        Raises:
            StoreError: not everything was erased.
        """
        if asked.dry_run:
            return await self.store.forgettable(asked.user, asked.source, self.clock())
        return await self._forget(asked.user, asked.source, "operator")

    async def obey(self, source: Source, elements: Iterable[Decoded | Unusable]) -> Problem | None:
        """Forgets those of whom these events say so; why that did not work, or None.

        Not where everybody may post: anybody could erase what is kept of anybody.
        """
        if source.credentials.open_to_all:
            return None
        try:
            for user in dict.fromkeys(_deleted(elements)):
                await self._forget(user, source.name, "event")
        except StoreError as error:
            self.log.error("user.not_forgotten", source=source.name, reason=str(error))
            return refusals.not_erased()
        return None

    async def _forget(self, user: str, source: str | None, by: str) -> Forgotten:
        forgotten = await self.store.forget(user, source, self.clock())
        self.metrics.forgotten.labels(by).inc()
        self.log.info(
            "user.forgotten",
            by=by,
            source=source,
            events=forgotten.events,
            originals=forgotten.originals,
            deliveries=sum(forgotten.deliveries.values()),
            match_keys=forgotten.match_keys,
            in_flight=forgotten.in_flight,
        )
        return forgotten


def _deleted(elements: Iterable[Decoded | Unusable]) -> Iterator[str]:
    """The ids that `delete` events among these name."""
    for element in elements:
        value = element.value if isinstance(element, Decoded) else None
        if isinstance(value, dict) and value.get("type") == _DELETE:
            named: JsonObject = {key: value[key] for key in _IDS if key in value}
            yield from subjects_of(named)


def forget_router(erasure: Erasure) -> APIRouter:
    """The path of operators."""
    router = APIRouter()

    @router.post(PATH, summary="Erase what is kept of a user, or count it")
    async def forget(asked: ForgetAsked) -> ForgottenShown:
        return ForgottenShown.of(await erasure.ask(asked))

    return router
