"""The admin paths of the configuration: what runs, what ran before, and changes while it runs.

Shows where secrets are found, never a secret. What a change goes through is the reloader's.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Final

import orjson
from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue
from starlette.responses import JSONResponse, Response

from conversion_relay.service.http.admin.shown import Shown
from conversion_relay.service.http.problems import Problem, retry_after
from conversion_relay.service.reload.reloading import Reloader
from conversion_relay.service.reload.steps import Ask, Objection, Reloaded, Result, Step
from conversion_relay.service.reload.versions import difference
from conversion_relay.service.store.history import History, VersionRecord

CONFIG: Final = "/api/config"
RELOAD: Final = f"{CONFIG}/reload"
ROLLBACK: Final = f"{CONFIG}/rollback"
VERSIONS: Final = f"{CONFIG}/versions"
NO_SERVICE: Final = "No service runs here"
_TRY_AGAIN_SECONDS: Final = 20
_MOST: Final = 2**53
_Limit = Annotated[int, Query(ge=1, le=500, description="the newest so many")]
_Number = Annotated[int, Path(ge=1, le=_MOST, description="of the version")]
_Accept = Annotated[bool, Field(description="what the trial objects to is meant so")]


class ReloadAsked(BaseModel):
    """How a change is meant."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    dry_run: Annotated[bool, Field(description="only say what would come of it")] = False
    accept: _Accept = False


class RollbackAsked(ReloadAsked):
    """Which version is to run again."""

    version: Annotated[int, Field(ge=1, le=_MOST)]


class ObjectionShown(Shown):
    """Why a change does not take effect."""

    step: Step
    sentence: str

    @staticmethod
    def of(objection: Objection) -> ObjectionShown:
        """The same, to be shown."""
        return ObjectionShown(step=objection.step, sentence=objection.sentence)


class ReloadedShown(Shown):
    """What came of a change, or would."""

    result: Result
    dry_run: bool
    version: Annotated[int | None, Field(description="that runs; null: it could not be kept")]
    problems: list[ObjectionShown]
    changes: Annotated[list[str], Field(description="what the events kept last would become")]
    verified: Annotated[list[str], Field(description="what TikTok said")]
    needs_restart: Annotated[list[str], Field(description="settings that only a start takes")]
    difference: Annotated[list[str], Field(description="to what ran before")]
    warnings: Annotated[list[str], Field(description="what is probably not meant")]

    @staticmethod
    def of(reloaded: Reloaded) -> ReloadedShown:
        """The same, to be shown."""
        return ReloadedShown(
            result=reloaded.result,
            dry_run=reloaded.dry_run,
            version=reloaded.version,
            problems=[ObjectionShown.of(one) for one in reloaded.problems],
            changes=list(reloaded.changes),
            verified=list(reloaded.verified),
            needs_restart=list(reloaded.needs_restart),
            difference=list(reloaded.difference),
            warnings=list(reloaded.warnings),
        )


class RefusedShown(Shown):
    """The last change that did not take effect."""

    since: AwareDatetime
    problems: list[ObjectionShown]


class ConfigAnswer(Shown):
    """The configuration that runs."""

    version: Annotated[int | None, Field(description="null: it could not be kept")]
    fingerprint: str
    rolled_back: Annotated[
        bool, Field(description="an earlier version runs, and not what the files say")
    ]
    needs_restart: Annotated[list[str], Field(description="settings that only a start takes")]
    refused: Annotated[RefusedShown | None, Field(description="what the files say cannot be used")]
    warnings: Annotated[list[str], Field(description="what is probably not meant")]


class VersionShown(Shown):
    """A configuration that took effect."""

    id: int
    since: AwareDatetime
    cause: Annotated[str, Field(description="start, file, signal, api, rollback or agreement")]
    fingerprint: str
    runs: bool
    rolled_back: Annotated[bool, Field(description="it took the place of what the files said")]


class VersionsAnswer(BaseModel):
    """The configurations that took effect, newest first."""

    versions: list[VersionShown]


class VersionAnswer(VersionShown):
    """A configuration that took effect, whole."""

    content: Annotated[
        dict[str, JsonValue], Field(description="settings, with references; mappings")
    ]
    before: Annotated[list[str], Field(description="what it changed of the one before")]
    since_then: Annotated[list[str], Field(description="what changed from it to what runs")]


def configuration_router(reloader: Callable[[], Reloader | None], history: History) -> APIRouter:
    """The paths; without a reloader, as in a command, only what was kept is shown."""
    router = APIRouter()
    _add_changes(router, reloader)
    _add_versions(router, reloader, history)
    return router


def _add_changes(router: APIRouter, reloader: Callable[[], Reloader | None]) -> None:
    @router.get(CONFIG, summary="The configuration that runs", response_model=ConfigAnswer)
    async def show() -> Response | ConfigAnswer:
        found = reloader()
        return _nobody() if found is None else _present(found)

    @router.post(RELOAD, summary="Read the configuration again", response_model=ReloadedShown)
    async def reload(asked: ReloadAsked) -> Response:
        found = reloader()
        if found is None:
            return _nobody()
        ask = Ask("api", dry_run=asked.dry_run, accept=asked.accept)
        return _answer(await found.reload(ask))

    @router.post(ROLLBACK, summary="Take a version back", response_model=ReloadedShown)
    async def rollback(asked: RollbackAsked) -> Response:
        found = reloader()
        if found is None:
            return _nobody()
        ask = Ask("rollback", dry_run=asked.dry_run, accept=asked.accept)
        reloaded = await found.rollback(asked.version, ask)
        if reloaded is None:
            return _no_version(asked.version)
        return _answer(reloaded)


def _add_versions(
    router: APIRouter, reloader: Callable[[], Reloader | None], history: History
) -> None:
    @router.get(VERSIONS, summary="The configurations that took effect, newest first")
    async def versions(limit: _Limit = 50) -> VersionsAnswer:
        found = await history.versions(limit)
        return VersionsAnswer(versions=[_version(one, reloader()) for one in found])

    @router.get(
        f"{VERSIONS}/{{number}}",
        summary="A configuration that took effect, whole",
        response_model=VersionAnswer,
    )
    async def version(number: _Number) -> Response | VersionAnswer:
        found = await history.version(number)
        if found is None:
            return _no_version(number)
        earlier = None if number == 1 else await history.version(number - 1)
        newest = next(iter(await history.versions(1)), found)
        return VersionAnswer(
            **_version(found, reloader()).model_dump(),
            content=orjson.loads(found.content),
            before=[] if earlier is None else list(difference(earlier.content, found.content)),
            since_then=list(difference(found.content, newest.content)),
        )


def _present(reloader: Reloader) -> ConfigAnswer:
    refused = reloader.standing
    return ConfigAnswer(
        version=reloader.version,
        fingerprint=reloader.running.fingerprint,
        rolled_back=reloader.rolled_back is not None,
        needs_restart=list(reloader.needs_restart),
        refused=None
        if refused is None
        else RefusedShown(
            since=refused.since, problems=[ObjectionShown.of(one) for one in refused.problems]
        ),
        warnings=list(reloader.running.warnings),
    )


def _version(record: VersionRecord, reloader: Reloader | None) -> VersionShown:
    return VersionShown(
        id=record.id,
        since=record.since,
        cause=record.cause,
        fingerprint=record.fingerprint,
        runs=reloader is not None and record.id == reloader.version,
        rolled_back=record.rolled_back is not None,
    )


def _answer(reloaded: Reloaded) -> Response:
    shown = ReloadedShown.of(reloaded).model_dump(mode="json", by_alias=True)
    if reloaded.dry_run or reloaded.result in {Result.ADOPTED, Result.UNCHANGED}:
        return JSONResponse(shown)
    if reloaded.result is Result.WAITING:
        return Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "configuration-waiting",
            "TikTok, or the other nodes, said nothing of the change, so that it does not take "
            "effect. What ran before goes on. Ask again; what the files say is tried again by "
            "itself.",
            retry_after(_TRY_AGAIN_SECONDS),
            shown,
        ).response()
    return Problem(
        HTTPStatus.CONFLICT,
        "configuration-refused",
        "The change does not take effect, and what ran before goes on; `problems` says why. What "
        "the trial or the check objects to can be accepted.",
        members=shown,
    ).response()


def _no_version(number: int) -> Response:
    return Problem(
        HTTPStatus.NOT_FOUND,
        "not-found",
        f"No version {number} is kept. GET {VERSIONS}, or conversion-relay config versions, lists "
        "those that are.",
    ).response()


def _nobody() -> Response:
    return Problem(
        HTTPStatus.CONFLICT,
        "no-running-service",
        f"{NO_SERVICE}, so that nothing can be changed while it runs. It reads its configuration "
        "when it starts.",
    ).response()
