"""The path by which an operator erases a user. The answer does not repeat the id."""

from __future__ import annotations

from typing import Annotated, Final, Self

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from conversion_relay.core.delivery import State
from conversion_relay.service.http.erasure import Erasure
from conversion_relay.service.store.port import Forgotten

PATH: Final = "/api/forget"


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


def forget_router(erasure: Erasure) -> APIRouter:
    """The path."""
    router = APIRouter()

    @router.post(PATH, summary="Erase what is kept of a user, or count it")
    async def forget(asked: ForgetAsked) -> ForgottenShown:
        ask = erasure.count if asked.dry_run else erasure.ask
        return ForgottenShown.of(await ask(asked.user, asked.source))

    return router
