"""The OpenAPI document and the service say the same: schemathesis asks every path.

Positive cases are as the document allows, negative ones are not; none may be a fault of ours, and
every answer has a status, a content type and a shape that the document names. How often each path
is asked says RELAY_TEST_CASES.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import httpx
import pytest
import requests
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode, openapi
from schemathesis.checks import CHECKS, CheckFunction, not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation

from conversion_relay.core.values import JsonObject
from conversion_relay.sandbox import create_sandbox
from conversion_relay.sandbox import running as running_sandbox
from faults.process import Service
from support.running import ADMIN, BEARER

_CHECKS: Final = ("status_code_conformance", "content_type_conformance",
                  "response_schema_conformance", "response_headers_conformance")  # fmt: skip
_PHASES: Final = (Phase.explicit, Phase.generate)
_MODES: Final = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
_OVERLOADED: Final = {502, 504}


def _examples() -> int:
    return max(5, int(os.environ.get("RELAY_TEST_CASES", "1000")) // 100)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_the_document_and_the_service_agree(tmp_path: Path) -> None:
    sandbox = create_sandbox(clock=time.monotonic, access_tokens=frozenset({"access-token"}))
    async with running_sandbox(sandbox) as api_url:
        service = Service(tmp_path, api_url, changes={"SEGMENT_WRITE_KEY": "write-key"})
        await service.start()
        document = await _document(service.url)
        asked = await asyncio.to_thread(_ask_everything, document, service.url)
        async with httpx.AsyncClient(base_url=service.url, trust_env=False) as client:
            assert (await client.get("/readyz")).is_success, "it lives on"
        status, _ = await service.stop()
    assert asked >= len(document["paths"] if isinstance(document["paths"], dict) else [])
    assert status == 0
    assert "Traceback" not in service.log.read_text("utf-8")


async def _document(url: str) -> JsonObject:
    headers = {"Authorization": f"Bearer {ADMIN}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as client:
        found: JsonObject = (await client.get("/api/openapi.json")).raise_for_status().json()
        return found


def _ask_everything(document: JsonObject, url: str) -> int:
    """Gives how many operations were asked, each mode counted."""
    schema = openapi.from_dict(document)
    asked, wrong = 0, list[str]()
    with requests.Session() as session:
        session.trust_env = False
        for found in schema.get_all_operations():
            assert isinstance(found, Ok), "the document describes an operation that is none"
            for mode in _MODES:
                asked += 1
                try:
                    _law(found.ok(), mode, lambda case: _ask(case, url, session))()
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


def _ask(case: Case[Any], url: str, session: requests.Session) -> None:
    """With the credentials of the path, so that what is asked comes to be looked at."""
    token = BEARER if case.path.startswith("/webhook") else ADMIN
    headers = {"Authorization": f"Bearer {token}"}
    if case.path.startswith("/v1"):
        headers = {"Authorization": "Basic d3JpdGUta2V5Og=="}
    response = case.call(base_url=url, session=session, headers=headers, timeout=30)
    case.validate_response(response, checks=_checks())


def _checks() -> list[CheckFunction]:
    named = [cast("CheckFunction", CHECKS.get_one(name)) for name in _CHECKS]
    return [not_a_server_error, *named]
