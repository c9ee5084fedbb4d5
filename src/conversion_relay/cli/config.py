"""The commands about the configuration of a running service: `config reload` and the others.

They speak to its admin paths. What only it knows needs a running service; what was kept is shown
without one, too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import httpx
import typer
from pydantic import ValidationError

from conversion_relay.cli.operators import Result as Found
from conversion_relay.cli.operators import ask_of, sent
from conversion_relay.cli.speaking import (
    INPUT_PROBLEM,
    ConfigOption,
    complain,
    environment,
    explained,
    say,
)
from conversion_relay.errors import ConfigurationError
from conversion_relay.service.configuration import inspect, load
from conversion_relay.service.environment import CONFIG_VARIABLE
from conversion_relay.service.http.admin.configuration import (
    CONFIG,
    RELOAD,
    ROLLBACK,
    VERSIONS,
    ConfigAnswer,
    ObjectionShown,
    ReloadedShown,
    VersionAnswer,
    VersionsAnswer,
)
from conversion_relay.service.operating import answer_of
from conversion_relay.service.reload.steps import Result
from conversion_relay.service.settings import Configuration
from conversion_relay.service.settings.kinds import PLACEHOLDER

_TOLD: Final[Mapping[tuple[Result, bool], str]] = {
    (Result.ADOPTED, False): "The change is in effect.",
    (Result.ADOPTED, True): "The change would take effect.",
    (Result.UNCHANGED, False): "Nothing is different from what runs.",
    (Result.UNCHANGED, True): "Nothing is different from what runs.",
    (Result.REFUSED, False): "The change does not take effect; what ran before goes on.",
    (Result.REFUSED, True): "The change would not take effect.",
    (Result.WAITING, False): "Nobody said yet that the change is good; what ran before goes on.",
    (Result.WAITING, True): "Nobody said yet that the change is good: it would not take effect.",
}
_NOBODY: Final[Mapping[str, Mapping[str, Mapping[str, str]]]] = {
    "sources": {"none": {"authentication": "none"}},
    "destinations": {"none": {"access_token": PLACEHOLDER, "pixel_code": "NONE"}},
}
"""Stand for what cannot be used: the service is found without."""
_UNANSWERED: Final = {httpx.codes.CONFLICT, httpx.codes.SERVICE_UNAVAILABLE}
_TALK: Final = {"configuration-refused", "configuration-waiting"}

config = typer.Typer(
    name="config",
    help="Change the configuration of the running service, and look at earlier ones.",
    no_args_is_help=True,
)
_DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would come of it.")]
_AcceptOption = Annotated[
    bool, typer.Option("--accept", help="What the trial with real events objects to is meant so.")
]
_VersionArgument = Annotated[int, typer.Argument(min=1, metavar="VERSION")]


@config.command("reload")
def reload(
    dry_run: _DryRunOption = False,
    accept: _AcceptOption = False,
    config: ConfigOption = None,
) -> None:
    """Have the running service read its configuration again: checked, tried, then taken."""

    async def post(client: httpx.AsyncClient) -> ReloadedShown:
        form = {"dry_run": dry_run, "accept": accept}
        return _reloaded(await sent(client.post(RELOAD, json=form)))

    _tell(_ask(config, post))


@config.command("rollback")
def rollback(
    version: _VersionArgument,
    dry_run: _DryRunOption = False,
    accept: _AcceptOption = False,
    config: ConfigOption = None,
) -> None:
    """Have an earlier version run again, until the files say something else than now."""

    async def post(client: httpx.AsyncClient) -> ReloadedShown:
        form = {"version": version, "dry_run": dry_run, "accept": accept}
        return _reloaded(await sent(client.post(ROLLBACK, json=form)))

    _tell(_ask(config, post))


@config.command("show")
def show(config: ConfigOption = None) -> None:
    """Show which version runs, and whether something speaks against what the files say."""

    async def get(client: httpx.AsyncClient) -> ConfigAnswer:
        return answer_of(await sent(client.get(CONFIG)), ConfigAnswer)

    found = _ask(config, get)
    say(f"version {found.version or '(not kept)'}, fingerprint {found.fingerprint}")
    if found.rolled_back:
        say("rolled back: an earlier version runs, and not what the files say")
    _say_all("only a start takes", found.needs_restart)
    _say_all("probably not meant", found.warnings)
    if found.refused is not None:
        say(f"refused since {found.refused.since:%Y-%m-%d %H:%M:%S} UTC:")
        _say_all("", _objections(found.refused.problems))


@config.command("versions")
def versions(
    limit: Annotated[int, typer.Option(min=1, max=500, help="The newest so many.")] = 20,
    config: ConfigOption = None,
) -> None:
    """List the configurations that took effect, the newest first."""

    async def get(client: httpx.AsyncClient) -> VersionsAnswer:
        return answer_of(await sent(client.get(VERSIONS, params={"limit": limit})), VersionsAnswer)

    for one in _ask(config, get).versions:
        mark = " (runs)" if one.runs else ""
        aside = ", in the place of what the files said" if one.rolled_back else ""
        say(f"{one.id:>5}  {one.since:%Y-%m-%d %H:%M:%S} UTC  by {one.cause}{aside}{mark}")


@config.command("diff")
def diff(version: _VersionArgument, config: ConfigOption = None) -> None:
    """Show what a version changed, and what has changed since."""

    async def get(client: httpx.AsyncClient) -> VersionAnswer:
        return answer_of(await sent(client.get(f"{VERSIONS}/{version}")), VersionAnswer)

    found = _ask(config, get)
    say(f"what version {version} changed:")
    _say_all("", found.before or ["nothing"])
    say(f"what has changed since version {version}:")
    _say_all("", found.since_then or ["nothing"])


def _ask(config: Path | None, work: Callable[[httpx.AsyncClient], Awaitable[Found]]) -> Found:
    """What the service says, though what its files say may be what it refuses."""
    with explained():
        try:
            configuration = load(environment(), config)
        except ConfigurationError as error:
            configuration = _service_alone(config, error)
    return ask_of(configuration, work)


def _service_alone(config: Path | None, error: ConfigurationError) -> Configuration:
    """As much as the service is found by.

    Raises:
        ConfigurationError: not even that can be used.
    """
    try:
        tree = inspect(environment(), config).tree
    except ConfigurationError:  # the file is no TOML
        named = {CONFIG_VARIABLE.name, f"{CONFIG_VARIABLE.name}_FILE"}
        without = {key: value for key, value in environment().items() if key not in named}
        tree = inspect(without).tree
    try:
        return Configuration.model_validate({**_NOBODY, "service": tree.get("service", {})})
    except ValidationError:
        raise error from None


def _reloaded(response: httpx.Response) -> ReloadedShown:
    """What came of it: a refusal says as much as a change does."""
    if response.status_code in _UNANSWERED:
        slug = str(response.json().get("type", "")).rpartition(":")[2]
        if slug in _TALK:
            return ReloadedShown.model_validate_json(response.content)
    return answer_of(response, ReloadedShown)


def _tell(reloaded: ReloadedShown) -> None:
    _say_all("", reloaded.difference)
    _say_all("with the events kept last", reloaded.changes)
    _say_all("TikTok", reloaded.verified)
    _say_all("only a start takes", reloaded.needs_restart)
    _say_all("probably not meant", reloaded.warnings)
    told = _TOLD[reloaded.result, reloaded.dry_run]
    if reloaded.result in {Result.ADOPTED, Result.UNCHANGED}:
        say(told)
        return
    for sentence in _objections(reloaded.problems):
        complain(sentence)
    complain(f"conversion-relay: {told}")
    raise typer.Exit(INPUT_PROBLEM)


def _objections(problems: Sequence[ObjectionShown]) -> Iterator[str]:
    return (f"{one.step.value}: {one.sentence}" for one in problems)


def _say_all(title: str, lines: Iterable[str]) -> None:
    for line in lines:
        say(f"{title}: {line}" if title else line)
