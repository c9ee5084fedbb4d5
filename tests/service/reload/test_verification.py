"""What a partner says of credentials and settings: sound, refused, or nothing at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest

from conversion_relay.core.delivery import TransportFailure, WireResponse
from conversion_relay.core.destination import OutgoingRequest, Verdict
from conversion_relay.sandbox import Fault, Sandbox, create_sandbox
from conversion_relay.sandbox import running as running_sandbox
from conversion_relay.service.app import connect
from conversion_relay.service.configuration import load
from conversion_relay.service.dispatch import Reply, Wire
from conversion_relay.service.reload.candidate import read_candidate
from conversion_relay.service.reload.verification import Answered, Verification, Verified
from conversion_relay.service.settings import Configuration, DestinationSettings
from conversion_relay.service.targets import build_targets
from support.ports import free_port
from support.running import environment
from support.time import START

TOKEN = "access-token"
SOUND, REFUSED, SILENT = Verdict.SOUND, Verdict.REFUSED, Verdict.SILENT


@dataclass(slots=True)
class Pauses:
    """A sleep that takes no time."""

    seconds: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        """Notes it."""
        self.seconds.append(seconds)


def sandbox_with(*faults: Fault) -> Sandbox:
    return create_sandbox(
        clock=START.timestamp, access_tokens=frozenset({TOKEN}), faults=faults, sleep=Pauses()
    )


async def asked(folder: Path, api_url: str, **changes: str) -> Answered:
    """What is learnt of the only destination."""
    configuration = load(environment(folder, api_url, **changes))
    verification = Verification(connect, lambda: START, Pauses())
    found = await verification.ask(build_targets(configuration), configuration)
    (answer,) = found.answers
    return answer


WHOLE = {"TIKTOK_CANARY_TEST_EVENT_CODE": "TEST7"}
CASES: dict[str, tuple[list[Fault], dict[str, str], Verdict, str]] = {
    "a good token": ([], {}, SOUND, "accepted the access token, and refused an event that is inc"),
    "a test code": ([], WHOLE, SOUND, "accepted a test event, which TikTok shows under Test Ev"),
    "everything is test": ([], {"TIKTOK_TEST_EVENT_CODE": "T"}, SOUND, "accepted a test event"),
    "a bad token": ([], {"TIKTOK_ACCESS_TOKEN": "wrong"}, REFUSED, "code 40105"),
    "a bad token, whole": ([], {"TIKTOK_ACCESS_TOKEN": "x", **WHOLE}, REFUSED, "code 40105"),
    "a revoked token": ([Fault("token_revoked", 401)], {}, REFUSED, "code 40105"),
    "no permission": ([Fault("code", 40001)], {}, REFUSED, "code 40001"),
    "a test event is refused": ([Fault("reject_index", 0)], WHOLE, REFUSED, "refuses a test even"),
    "a proxy forbids it": ([Fault("http_status", 403)], {}, REFUSED, "something on the way"),
    "a redirect": ([Fault("redirect", "https://sandbox.invalid/")], {}, REFUSED, "HTTP 302"),
    "5xx with HTML": ([Fault("server_error", 502)], {}, SILENT, "HTTP 502"),
    "5xx of TikTok": ([Fault("code", 50000)], {}, SILENT, "code 50000"),
    "429": ([Fault("throttle", "1")], {}, SILENT, "HTTP 429"),
    "too many requests in HTTP 401": ([Fault("throttle_code", 401)], {}, SILENT, "code 40100"),
    "200 with HTML": ([Fault("garbage", "<html>")], {}, SILENT, "HTTP 200 without a code"),
    "no answer": ([Fault("reset")], {}, SILENT, "did not answer"),
}


@pytest.mark.parametrize("name", CASES)
async def test_what_tiktok_says(name: str, tmp_path: Path) -> None:
    faults, changes, verdict, words = CASES[name]
    sandbox = sandbox_with(*faults)
    async with running_sandbox(sandbox) as api_url:
        answer = await asked(tmp_path, api_url, **changes)
    assert answer.destination == "tiktok"
    assert answer.verdict is verdict
    assert words in answer.sentence
    token = changes.get("TIKTOK_ACCESS_TOKEN", TOKEN)
    assert token == "x" or token not in answer.told
    assert not [one for one in sandbox.ledger.conversions() if one.event != "ViewContent"]


@pytest.mark.parametrize(("code", "counted"), [(None, 0), ("TEST7", 1)])
async def test_without_a_test_code_nothing_is_counted(
    code: str | None, counted: int, tmp_path: Path
) -> None:
    """Whatever bears a test code is a test event at TikTok, and counts there as little."""
    sandbox = sandbox_with()
    changes = {} if code is None else {"TIKTOK_CANARY_TEST_EVENT_CODE": code}
    async with running_sandbox(sandbox) as api_url:
        await asked(tmp_path, api_url, **changes)
    (request,) = sandbox.journal.latest(10)
    body = request["body"]
    assert isinstance(body, dict)
    assert body.get("test_event_code") == code
    assert len(sandbox.ledger.conversions()) == counted


async def test_the_code_and_the_id_of_the_request_are_told(tmp_path: Path) -> None:
    async with running_sandbox(sandbox_with()) as api_url:
        answer = await asked(tmp_path, api_url, TIKTOK_ACCESS_TOKEN="wrong")
    assert answer.code == 40105
    assert answer.request_id is not None
    assert answer.told.startswith("destination tiktok: TikTok refuses the access token")
    assert answer.told.endswith(f"(request {answer.request_id})")


async def test_nobody_there(tmp_path: Path) -> None:
    api_url = f"http://127.0.0.1:{free_port()}"
    answer = await asked(tmp_path, api_url)
    assert answer.verdict is SILENT
    assert answer.sentence.startswith(f"{api_url} did not answer (connect error), so that nothing")


@dataclass(slots=True)
class Scripted:
    """A wire that answers in order; without an answer left it never does."""

    replies: list[Reply]
    sent: list[OutgoingRequest] = field(default_factory=list)
    open: int = 0

    async def send(self, request: OutgoingRequest) -> Reply:
        """The next answer."""
        self.sent.append(request)
        if not self.replies:
            await asyncio.Event().wait()
        return self.replies.pop(0)

    @asynccontextmanager
    async def connect(
        self, _: DestinationSettings, __: Callable[[], datetime]
    ) -> AsyncIterator[Wire]:
        """Counts what is open."""
        self.open += 1
        try:
            yield self
        finally:
            self.open -= 1


FAILED = TransportFailure(certain=False, reason="read error")
ACCEPTED = WireResponse(200, b'{"code":0}')


async def scripted(
    folder: Path, replies: Sequence[Reply], deadline_seconds: float = 30
) -> tuple[Answered, Scripted, Pauses]:
    configuration = load(environment(folder, "http://127.0.0.1:9"))
    wire, pauses = Scripted(list(replies)), Pauses()
    verification = Verification(wire.connect, lambda: START, pauses, deadline_seconds)
    found = await verification.ask(build_targets(configuration), configuration)
    assert wire.open == 0
    return found.answers[0], wire, pauses


@pytest.mark.parametrize(
    ("replies", "verdict", "attempts"),
    [
        ([ACCEPTED], SOUND, 1),
        ([FAILED, ACCEPTED], SOUND, 2),
        ([FAILED, FAILED, ACCEPTED], SILENT, 2),
        ([WireResponse(502, b""), ACCEPTED], SILENT, 1),
    ],
)
async def test_a_fault_of_the_connection_gets_a_second_attempt(
    replies: list[Reply], verdict: Verdict, attempts: int, tmp_path: Path
) -> None:
    answer, wire, pauses = await scripted(tmp_path, replies)
    assert answer.verdict is verdict
    assert len(wire.sent) == attempts
    assert pauses.seconds == [1.0] * (attempts - 1)


async def test_whoever_never_answers_is_not_waited_for(tmp_path: Path) -> None:
    answer, wire, _ = await scripted(tmp_path, [], deadline_seconds=0.01)
    assert answer.verdict is SILENT
    assert "did not answer (no answer within 0.01 s)" in answer.sentence
    assert len(wire.sent) == 1


async def test_a_token_that_is_repeated_is_taken_out(tmp_path: Path) -> None:
    echo = WireResponse(200, b'{"code":40105,"message":"access-token is revoked"}')
    answer, _, _ = await scripted(tmp_path, [echo])
    assert TOKEN not in answer.told
    assert "[access token] is revoked" in answer.sentence


TWO = """
[sources.web]
bearer_tokens = ["env:RELAY_BEARER_TOKEN"]
[destinations.good]
pixel_code = "A"
access_token = "env:TIKTOK_ACCESS_TOKEN"
api_url = "SANDBOX"
[destinations.bad]
pixel_code = "B"
access_token = "env:BAD"
api_url = "SANDBOX"
[destinations.away]
pixel_code = "C"
access_token = "env:BAD"
api_url = "http://127.0.0.1:AWAY"
"""


async def test_those_that_are_named_are_asked_and_told_apart(tmp_path: Path) -> None:
    sandbox, file = sandbox_with(), tmp_path / "relay.toml"
    async with running_sandbox(sandbox) as api_url:
        away = str(free_port())
        file.write_text(TWO.replace("SANDBOX", api_url).replace("AWAY", away), "utf-8")
        variables = {"RELAY_BEARER_TOKEN": "b", "TIKTOK_ACCESS_TOKEN": TOKEN, "BAD": "bad-token"}
        candidate = read_candidate(variables, file)
        verification = Verification(connect, lambda: START, Pauses())
        found = await verification.verify(candidate, ["bad", "good", "away"])
        only = await verification.verify(candidate, ["good"])
        none = await verification.verify(candidate, [])
    assert [one.verdict for one in found.answers] == [SOUND, REFUSED, SILENT]
    assert [one.partition(":")[0] for one in found.sentences] == [
        "destination good", "destination bad", "destination away",
    ]  # fmt: skip
    assert found.refused == (found.sentences[1],)
    assert found.silent == (found.sentences[2],)
    assert [one.destination for one in only.answers] == ["good"]
    assert (none, none.sentences) == (Verified(), ())
    assert isinstance(candidate.configuration, Configuration)
