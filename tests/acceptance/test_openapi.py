"""The OpenAPI document and the service say the same: schemathesis asks every path.

Positive cases are as the document allows, negative ones are not; none may be a fault of ours, and
every answer has a status, a content type and a shape that the document names. How often each path
is asked says RELAY_TEST_CASES.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

import httpx
import pytest
import requests
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis.errors import Unsatisfiable
from requests.adapters import HTTPAdapter
from schemathesis import Case, GenerationMode, openapi
from schemathesis.checks import CHECKS, CheckFunction, not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response
from schemathesis.schemas import APIOperation
from urllib3.util import Retry

from conversion_relay.core.values import JsonObject
from conversion_relay.sandbox import create_sandbox
from conversion_relay.sandbox import running as running_sandbox
from faults.process import Service
from support.events import order
from support.running import ADMIN, BEARER

_CHECKS: Final = ("status_code_conformance", "content_type_conformance",
                  "response_schema_conformance", "response_headers_conformance")  # fmt: skip
_PHASES: Final = (Phase.explicit, Phase.generate)
_MODES: Final = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
_READ: Final = "read-token"
_PERSONAL: Final = ("Lena", "Brandt", "example.com", "203.0.113.7", "Berlin", "buyer-311")
_Ask: TypeAlias = Callable[[Case[Any], requests.Session], None]


def _examples() -> int:
    return max(5, int(os.environ.get("RELAY_TEST_CASES", "1000")) // 150)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_the_document_and_the_service_agree(tmp_path: Path) -> None:
    async with _serving(tmp_path) as service:
        document = await _document(service.url)
        asked = await asyncio.to_thread(_ask_everything, document, _with_its_credentials(service))
        async with httpx.AsyncClient(base_url=service.url, trust_env=False) as client:
            assert (await client.get("/readyz")).is_success, "it lives on"
    assert asked >= len(document["paths"] if isinstance(document["paths"], dict) else [])
    assert "Traceback" not in service.log.read_text("utf-8")


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_read_token_changes_nothing_and_shows_nobody(tmp_path: Path) -> None:
    async with (
        _serving(tmp_path) as service,
        httpx.AsyncClient(
            base_url=service.url, trust_env=False, headers={"Authorization": f"Bearer {BEARER}"}
        ) as client,
    ):
        posted = [order("m-1"), order("m-2"), 5]
        (await client.post("/webhook/default", json=posted)).raise_for_status()
        async with asyncio.timeout(30):
            while not await _is_settled(service.url):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.1)
        document, before = await _document(service.url), await _status(service.url)
        await asyncio.to_thread(_ask_everything, _admin(document), _with_a_read_token(service))
        assert await _status(service.url) == before
    assert "operator." not in service.log.read_text("utf-8")


@asynccontextmanager
async def _serving(folder: Path) -> AsyncIterator[Service]:
    sandbox = create_sandbox(clock=time.monotonic, access_tokens=frozenset({"access-token"}))
    async with running_sandbox(sandbox) as api_url:
        changes = {"SEGMENT_WRITE_KEY": "write-key", "RELAY_READ_TOKEN": _READ}
        service = Service(folder, api_url, changes=changes | {"RELAY_CANARY": "false"})
        await service.start()
        yield service
        status, _ = await service.stop()
    assert status == 0


async def _status(url: str) -> JsonObject:
    headers = {"Authorization": f"Bearer {_READ}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as client:
        found: JsonObject = (await client.get("/api/status")).raise_for_status().json()
        return found


async def _is_settled(url: str) -> bool:
    deliveries = (await _status(url))["deliveries"]
    assert isinstance(deliveries, dict)
    return deliveries.get("tiktok") == {"delivered": 2}


async def _document(url: str) -> JsonObject:
    headers = {"Authorization": f"Bearer {ADMIN}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as client:
        found: JsonObject = (await client.get("/api/openapi.json")).raise_for_status().json()
        return found


def _admin(document: JsonObject) -> JsonObject:
    """Only its admin paths."""
    paths = document["paths"]
    assert isinstance(paths, dict)
    kept = {path: one for path, one in paths.items() if path == "/" or path.startswith("/api")}
    assert 1 < len(kept) < len(paths)
    return {**document, "paths": kept}


def _ask_everything(document: JsonObject, ask: _Ask) -> int:
    """Gives how many operations were asked, each mode counted."""
    schema = openapi.from_dict(document)
    asked, wrong = 0, list[str]()
    with requests.Session() as session:
        session.trust_env = False
        session.mount("http://", HTTPAdapter(max_retries=_patience()))
        for found in schema.get_all_operations():
            assert isinstance(found, Ok), "the document describes an operation that is none"
            for mode in _MODES:
                asked += 1
                try:
                    _law(found.ok(), mode, lambda case: ask(case, session))()
                except Unsatisfiable:
                    continue  # nothing can be wrong with no parameter at all
                except FailureGroup as failures:
                    name = f"{found.ok().label}, {mode.value}"
                    wrong += [f"{name}: {one!r}"[:700] for one in failures.exceptions]
    assert not wrong, "\n".join(wrong)
    return asked


def _law(
    operation: APIOperation[Any, Any, Any, Any],
    mode: GenerationMode,
    ask: Callable[[Case[Any]], None],
) -> Callable[[], None]:
    @settings(
        max_examples=_examples(),
        phases=_PHASES,
        suppress_health_check=list(HealthCheck),
        database=None,
        verbosity=Verbosity.quiet,
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def law(case: Case[Any]) -> None:
        ask(case)

    return law


def _patience() -> Retry:
    """Comes again after Retry-After, as whoever uses the admin paths has to."""
    return Retry(
        total=100,
        connect=0,
        read=0,
        status_forcelist=[429],
        allowed_methods=None,
        raise_on_status=False,
    )


def _with_its_credentials(service: Service) -> _Ask:
    """With the credentials of the path, so that what is asked comes to be looked at."""

    def ask(case: Case[Any], session: requests.Session) -> None:
        token = BEARER if case.path.startswith("/webhook") else ADMIN
        headers = {"Authorization": f"Bearer {token}"}
        if case.path.startswith("/v1"):
            headers = {"Authorization": "Basic d3JpdGUta2V5Og=="}
        _called(case, service.url, session, headers)

    return ask


def _with_a_read_token(service: Service) -> _Ask:

    def ask(case: Case[Any], session: requests.Session) -> None:
        headers = {"Authorization": f"Bearer {_READ}"}
        response = _called(case, service.url, session, headers)
        assert not [one for one in _PERSONAL if one in response.text]
        assert case.method.upper() == "GET" or response.status_code >= 400

    return ask


def _called(
    case: Case[Any], url: str, session: requests.Session, headers: dict[str, str]
) -> Response:
    response = case.call(base_url=url, session=session, headers=headers, timeout=30)
    case.validate_response(response, checks=_checks())
    return response


def _checks() -> list[CheckFunction]:
    named = [cast("CheckFunction", CHECKS.get_one(name)) for name in _CHECKS]
    return [not_a_server_error, *named]
