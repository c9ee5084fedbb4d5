"""The admin paths for commands: of the running service, or of one opened for the purpose.

Where one process owns the database, a command speaks to that process, and opens the store itself
where there is none. Where several nodes share it, a command speaks to the node of this machine if
there is one, and is a node for a moment otherwise. Either way it speaks the same paths.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from typing import Final, TypeVar

import httpx
import orjson
from pydantic import BaseModel, SecretStr, ValidationError

from conversion_relay.errors import ConfigurationError, DatabaseInUse, RelayError
from conversion_relay.service.app import open_relay
from conversion_relay.service.http.admin.configuration import NO_SERVICE
from conversion_relay.service.http.admin.status import STATUS, StatusAnswer
from conversion_relay.service.logs import Log
from conversion_relay.service.patience import Patient
from conversion_relay.service.settings import Configuration, ServiceSettings

_ANSWER_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 2.0
_ANY_HOST: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
_LONGEST_DETAIL: Final = 500
_CLOSED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
Model = TypeVar("Model", bound=BaseModel)


@asynccontextmanager
async def admin_client(configuration: Configuration, log: Log) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the admin paths, with its token; `answer_of` reads what comes back.

    Raises:
        ConfigurationError: a service runs, and the admin token is not known here.
        RelayError: the database cannot be opened, or a service has it and cannot be reached.
    """
    async with AsyncExitStack() as stack:
        try:
            opened = _of_own_relay(configuration, log)
            if await _is_node(configuration.service):
                opened = _of_node(configuration.service)
            client = await stack.enter_async_context(opened)
        except DatabaseInUse as error:
            client = await stack.enter_async_context(_of_running_service(configuration, error))
        yield client


def answer_of(response: httpx.Response, model: type[Model]) -> Model:
    """What was answered.

    Raises:
        ConfigurationError: the token is wrong, or what was asked for is.
        RelayError: it was another problem, with its words, or no answer of ours.
    """
    require_success(response)
    try:
        return model.model_validate_json(response.content)
    except ValidationError:
        raise RelayError("what answered at the service's address is no service of ours") from None


def require_success(response: httpx.Response) -> None:
    """Does nothing where the service did what it was asked for.

    Raises:
        ConfigurationError: the token is wrong, or what was asked for is.
        RelayError: it was another problem, with its words.
    """
    if response.status_code in _CLOSED:
        raise ConfigurationError(
            f"the running service refuses the admin token: {detail_of(response)}"
        )
    if response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
        raise ConfigurationError(detail_of(response).removeprefix("query."))
    if not response.is_success:
        detail = detail_of(response)
        nobody = detail.startswith(NO_SERVICE)
        raise RelayError(detail if nobody else f"the service answered: {detail}")


def detail_of(response: httpx.Response) -> str:
    """The words of a problem."""
    try:
        document = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        document = None
    detail = document.get("detail") if isinstance(document, dict) else None
    return str(detail or f"HTTP status {response.status_code}")[:_LONGEST_DETAIL]


@asynccontextmanager
async def _of_own_relay(
    configuration: Configuration, log: Log
) -> AsyncIterator[httpx.AsyncClient]:
    """Of a service without workers and without a port, behind a token nobody else has."""
    token = secrets.token_urlsafe()
    settings = configuration.service.model_copy(update={"admin_token": SecretStr(token)})
    own = configuration.model_copy(update={"service": settings})
    async with open_relay(own, log) as relay:
        transport = httpx.ASGITransport(app=relay.http, raise_app_exceptions=False)
        async with _client("http://relay", token, transport) as client:
            yield client


async def _is_node(settings: ServiceSettings) -> bool:
    """Whether a node answers at the address of the settings, which knows our token."""
    token = _token(settings)
    if settings.database_path is not None or token is None:
        return False
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        base_url=_address(settings), headers=headers, timeout=_LOOK_SECONDS, trust_env=False
    ) as client:
        try:
            return answer_of(await client.get(STATUS), StatusAnswer).node is not None
        except (httpx.HTTPError, RelayError):
            return False


@asynccontextmanager
async def _of_node(settings: ServiceSettings) -> AsyncIterator[httpx.AsyncClient]:
    token = _token(settings) or ""
    async with _client(_address(settings), token, httpx.AsyncHTTPTransport()) as client:
        yield client


def _token(settings: ServiceSettings) -> str | None:
    tokens = (settings.admin_token, *settings.read_tokens)
    token = next((one for one in tokens if one is not None), None)
    return None if token is None else token.get_secret_value()


@asynccontextmanager
async def _of_running_service(
    configuration: Configuration, in_use: DatabaseInUse
) -> AsyncIterator[httpx.AsyncClient]:
    token = _token(configuration.service)
    if token is None:
        raise ConfigurationError(
            "the service runs, and this command speaks to its admin paths: give both the same "
            "RELAY_ADMIN_TOKEN"
        ) from in_use
    address = _address(configuration.service)
    async with _client(address, token, httpx.AsyncHTTPTransport()) as client:
        try:
            await client.get("/healthz")
        except httpx.TransportError as error:
            raise RelayError(
                f"{str(in_use).partition(':')[0]}, but no service answers at {address} "
                f"({type(error).__name__}): give this command the RELAY_HOST and RELAY_PORT of "
                "the running service, or wait until the other command has ended"
            ) from error
        yield client


def _address(settings: ServiceSettings) -> str:
    host = _ANY_HOST.get(settings.host, settings.host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def _client(address: str, token: str, transport: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=address,
        headers={"Authorization": f"Bearer {token}"},
        transport=Patient(transport, asyncio.sleep),
        timeout=_ANSWER_SECONDS,
        trust_env=False,
    )
