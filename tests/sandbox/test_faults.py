"""Every fault: how it is written, whom it strikes, what is answered and what is counted."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

import httpx
import pytest
from starlette.types import Message

from conversion_relay.errors import ConfigurationError
from conversion_relay.sandbox import TRACK_PATH, Fault, create_sandbox, parse_fault
from conversion_relay.sandbox.answers import SPELLINGS
from conversion_relay.sandbox.faults import KINDS
from conversion_relay.sandbox.misbehaviour import MISBEHAVIOURS
from sandbox.bodies import NOW, body, event
from sandbox.conftest import Stage

KIBIBYTE = 1024
ACCEPTED_BODY = (
    '{"code":0,"message":"OK","request_id":"2025100908532000000000000000000001","data":{}}'
)


@dataclass(frozen=True)
class Expected:
    """What a fault does to one good request; `code` None if the answer is no JSON of TikTok's."""

    status: int
    code: int | None
    counted: int
    headers: tuple[tuple[str, str], ...] = ()
    slept: tuple[float, ...] | None = None


ANSWERED: dict[str, Expected] = {
    "server_error": Expected(502, None, 0, (("content-type", "text/html; charset=utf-8"),)),
    "server_error=503": Expected(503, None, 0),
    "http_status=403": Expected(403, None, 0),
    "throttle": Expected(429, None, 0, (("retry-after", "1"),)),
    "throttle=soon, I hope": Expected(429, None, 0, (("retry-after", "soon, I hope"),)),
    "throttle_code": Expected(401, 40100, 0),
    "throttle_code=200": Expected(200, 40100, 0),
    "token_revoked": Expected(200, 40105, 0),
    "token_revoked=401": Expected(401, 40105, 0),
    "code=50000": Expected(200, 50000, 0),
    "timeout=7.5": Expected(200, 0, 1, slept=(7.5,)),
    "accept_then_hang=30": Expected(200, 0, 1, slept=(30.0,)),
    "garbage": Expected(200, None, 0),
    "big_body=300000": Expected(200, 0, 1),
    "gzip_bomb=3000000": Expected(200, 0, 1, (("content-encoding", "gzip"),)),
    "slow_body=0.5": Expected(200, 0, 1, slept=(0.5,) * len(ACCEPTED_BODY)),
    "reject_index=3": Expected(200, 40002, 0),
    "reject_event_id=e-1": Expected(200, 40002, 0),
    "reject_event_id=another": Expected(200, 0, 1),
    "partial_ok": Expected(200, 20001, 1),
    "redirect": Expected(302, None, 0, (("location", "https://sandbox.invalid/"),)),
}


def test_every_fault_has_a_behaviour_and_a_test() -> None:
    silent = {"reset", "accept_then_reset"}
    tested = {fault.partition("=")[0] for fault in ANSWERED} | silent
    assert list(KINDS) == list(MISBEHAVIOURS)
    assert tested == set(KINDS)


@pytest.mark.parametrize(("fault", "expected"), ANSWERED.items(), ids=ANSWERED)
async def test_what_a_fault_answers_and_counts(
    stage: Stage, fault: str, expected: Expected
) -> None:
    stage.switch_on(fault)
    response = await stage.post(body(event()))
    assert response.status_code == expected.status
    assert _code(response) == expected.code
    assert len(stage.copies()) == expected.counted
    assert {key: response.headers[key] for key, _ in expected.headers} == dict(expected.headers)
    assert expected.slept is None or tuple(stage.time.slept) == expected.slept
    entry = await stage.last_request()
    assert (entry["status"], entry["code"]) == (expected.status, expected.code)


def _code(response: httpx.Response) -> int | None:
    if response.headers.get("content-type") != "application/json":
        return None
    code: int = response.json()["code"]
    return code


async def test_a_huge_answer_is_as_huge_as_asked_and_small_on_the_wire(stage: Stage) -> None:
    stage.switch_on(f"gzip_bomb={4096 * KIBIBYTE}")
    sent = {"Content-Type": "application/json", "Access-Token": "secret-token"}
    request = stage.client.build_request("POST", TRACK_PATH, json=body(event()), headers=sent)
    response = await stage.client.send(request, stream=True)
    on_the_wire = sum([len(piece) async for piece in response.aiter_raw()])
    await response.aclose()
    assert on_the_wire < 8 * KIBIBYTE
    assert len((await stage.post(body(event()))).content) > 4096 * KIBIBYTE


@pytest.mark.parametrize("fault", ["timeout=1", "accept_then_hang=1", "big_body", "partial_ok"])
async def test_a_fault_that_accepts_still_refuses_what_is_wrong(stage: Stage, fault: str) -> None:
    stage.switch_on(fault)
    assert (await stage.code_and_message(body(event(""))))[0] == 40002
    assert not stage.copies()


@pytest.mark.parametrize(
    ("fault", "counted", "code"), [("timeout", 0, None), ("accept_then_hang", 1, 0)]
)
async def test_a_hanging_request_is_noted_at_once(
    stage: Stage, fault: str, counted: int, code: int | None
) -> None:
    stage.switch_on(fault)
    hanging = asyncio.create_task(stage.post(body(event())))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not hanging.done()
    entry = await stage.last_request()
    assert (entry["fault"], entry["status"], entry["code"]) == (fault, None, code)
    assert len(stage.copies()) == counted
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging


async def test_a_fault_that_waited_leaves_no_task_behind() -> None:
    sandbox = create_sandbox(clock=lambda: NOW, faults=[parse_fault("timeout=0")])
    incoming: asyncio.Queue[Message] = asyncio.Queue()
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    incoming.put_nowait({"type": "http.request", "body": b"{}", "more_body": False})
    path = {"path": TRACK_PATH, "query_string": b"", "root_path": ""}
    await sandbox({"type": "http", "method": "POST", "headers": [], **path}, incoming.get, send)
    await asyncio.sleep(0)
    assert sent[0]["status"] == 200
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize(("fault", "counted"), [("reset", 0), ("accept_then_reset", 1)])
async def test_in_process_a_reset_is_an_exception(stage: Stage, fault: str, counted: int) -> None:
    stage.switch_on(fault)
    with pytest.raises(ConnectionResetError):
        await stage.post(body(event()))
    assert len(stage.copies()) == counted


@pytest.mark.parametrize(
    ("spelling", "message"),
    [
        ("dotted", "Invalid value for data.1.event_id: refused because the sandbox was told so."),
        (
            "spaced",
            "Invalid value for data. 1 .event_id: refused because the sandbox was told so.",
        ),
        (
            "bracketed",
            "Invalid value for data[1].event_id: refused because the sandbox was told so.",
        ),
        ("batch", "Batch.1.event_id: refused because the sandbox was told so."),
        ("anonymous", "Invalid parameter: refused because the sandbox was told so."),
    ],
)
async def test_an_event_is_refused_wherever_it_stands_in_each_spelling(
    stage: Stage, spelling: str, message: str
) -> None:
    assert spelling in SPELLINGS
    stage.switch_on(f"reject_event_id=poison,spelling={spelling}")
    assert await stage.code_and_message(body(event("a"), event("poison"))) == (40002, message)
    assert (await stage.code_and_message(body(event("a"))))[0] == 0
    assert stage.copies() == {"a": 0}


async def test_a_fault_ends_after_its_count_and_the_next_begins(stage: Stage) -> None:
    stage.switch_on("server_error=500,count=2", "throttle,count=1")
    statuses = [(await stage.post(body(event()))).status_code for _ in range(4)]
    assert statuses == [500, 500, 429, 200]
    assert stage.sandbox.faults.as_json() == []


async def test_a_fault_without_a_count_stays_until_switched_off(stage: Stage) -> None:
    stage.switch_on("throttle")
    assert {(await stage.post(body(event()))).status_code for _ in range(5)} == {429}
    stage.sandbox.faults.switch_off()
    assert (await stage.post(body(event()))).status_code == 200


async def _statuses_of_chance(seed: int) -> list[int]:
    sandbox = create_sandbox(
        clock=lambda: NOW,
        faults=[parse_fault("server_error,probability=0.5")],
        randomness=random.Random(seed),  # noqa: S311  # chance, not a secret
    )
    transport = httpx.ASGITransport(app=sandbox)
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        return [
            (await client.post(TRACK_PATH, json={}, headers={"Access-Token": "x"})).status_code
            for _ in range(40)
        ]


async def test_chance_goes_by_the_seed() -> None:
    first, again, other = [await _statuses_of_chance(seed) for seed in (1, 1, 2)]
    assert first == again != other
    assert 10 <= first.count(502) <= 30


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("reset", Fault("reset")),
        ("server_error", Fault("server_error", 502)),
        ("server_error=599", Fault("server_error", 599)),
        ("timeout", Fault("timeout")),
        ("timeout=2.5", Fault("timeout", 2.5)),
        ("throttle,count=3", Fault("throttle", "1", count=3)),
        ("code=40001,count=1,probability=0.25", Fault("code", 40001, 1, 0.25)),
        ("garbage=a,b=c", Fault("garbage", "a,b=c")),
        ("reject_event_id=7", Fault("reject_event_id", "7")),
        ("reject_index=2,spelling=batch", Fault("reject_index", 2, spelling="batch")),
    ],
)
def test_a_fault_is_read_from_text(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nonsense", "unknown fault 'nonsense'"),
        ("", "unknown fault ''"),
        ("server_error=404", "value must be a whole number from 500 to 599"),
        ("code", "value must be a whole number from 1 to 999999, not None"),
        ("code=0", "value must be a whole number"),
        ("timeout=-1", "value must be a number of seconds"),
        ("timeout=nan", "value must be a number of seconds"),
        ("reset=5", "value must be no value"),
        ("reject_event_id", "value must be a text"),
        ("reset,count=0", "count must be a whole number from 1"),
        ("reset,probability=2", "probability must be a number above 0, at most 1"),
        ("reset,spelling=loud", "spelling must be one of dotted, spaced"),
    ],
)
def test_an_unreadable_fault_lists_the_known_ones(text: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_fault(text)
    assert complaint in str(caught.value).splitlines()[0]
    assert all(f"  {name}: " in str(caught.value) for name in KINDS)
