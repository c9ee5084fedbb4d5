"""Requests out, answers in."""

from __future__ import annotations

from datetime import timedelta

import orjson
import pytest

from conversion_relay.core.delivery import (
    Accepted,
    Companion,
    CredentialProblem,
    Deferred,
    Outcome,
    Refused,
    Suspect,
    Throttled,
    Unknown,
    WireResponse,
)
from conversion_relay.core.destination import Told
from conversion_relay.destinations.tiktok.protocol import TikTokDestination
from conversion_relay.destinations.tiktok.web_event import TikTokSettings

DESTINATION = TikTokDestination(TikTokSettings("PIXEL"))


def outcomes(
    body: bytes, status: int = 200, size: int = 3, retry_after: float | None = None
) -> tuple[Outcome, ...]:
    return DESTINATION.outcomes(size, WireResponse(status, body, retry_after))


def answer(code: int, message: str = "m") -> bytes:
    return orjson.dumps({"code": code, "message": message, "request_id": "r", "data": {}})


def kinds(body: bytes, status: int = 200, size: int = 3) -> set[type[Outcome]]:
    return {type(outcome) for outcome in outcomes(body, status, size)}


def test_what_the_destination_is() -> None:
    assert DESTINATION.title == "TikTok Conversions"
    assert DESTINATION.max_batch == 1000
    assert list(DESTINATION.actions) == ["reportWebEvent"]


def test_a_request_joins_the_bodies_as_bytes() -> None:
    envelope = '{"event_source":"web","event_source_id":"PIXEL"}'
    request = DESTINATION.request(envelope, [b'{"event":"A"}', b'{"event":"\xc3\xbc"}'], "token")
    assert request.method == "POST"
    assert request.path == "/open_api/v1.3/event/track/"
    assert request.headers == {"Access-Token": "token", "Content-Type": "application/json"}
    assert orjson.loads(request.content) == {
        "event_source": "web",
        "event_source_id": "PIXEL",
        "data": [{"event": "A"}, {"event": "ü"}],
    }
    assert "token" not in repr(request)


RETRY = (40132, 40133, 61000, 40200, 40202, 50000, 50002, 53103, 60001)
CREDENTIALS = (
    *(40001, 40101, 40107, 40110, 40113, 40115, 40118, 40130, 40131),
    *(40300, 40302, 41000, 41001, 70001),
)
REFUSALS = (
    *(40000, 40002, 40003, 40006, 40012, 40016, 40050, 40051),
    *(40061, 40062, 40400, 40700),
)


@pytest.mark.parametrize("status", [200, 400, 401, 500])
@pytest.mark.parametrize(
    ("codes", "together", "alone"),
    [
        (RETRY, Deferred, Deferred),
        ((40100,), Throttled, Throttled),
        (CREDENTIALS, CredentialProblem, CredentialProblem),
        ((40063,), CredentialProblem, CredentialProblem),  # partner_name: a setting, no event
        (REFUSALS, Suspect, Refused),
        ((1, 999, 30000, 99999, -1), Deferred, Deferred),  # codes nobody knows
    ],
)
def test_codes_count_whatever_the_status(
    codes: tuple[int, ...], together: type[Outcome], alone: type[Outcome], status: int
) -> None:
    for code in codes:
        assert kinds(answer(code), status) == {together}
        assert kinds(answer(code), status, size=1) == {alone}


def test_code_0_is_success() -> None:
    assert outcomes(answer(0)) == (Accepted(),) * 3
    assert outcomes(b'{"code":0,"data":null}', 201, 1) == (Accepted(),)


@pytest.mark.parametrize("status", [301, 400, 500, 502])
def test_code_0_under_a_failing_status_is_unknown(status: int) -> None:
    assert kinds(answer(0), status) == {Unknown}


def test_a_200_with_another_code_is_a_failure() -> None:
    assert outcomes(answer(40001, "Invalid access token"), 200, 1) == (
        CredentialProblem("code 40001: Invalid access token"),
    )


def test_partly_ok_is_accepted_with_the_whole_body() -> None:
    (first, *_) = outcomes(b'{"code":20001,"message":"PARTIAL_OK","data":{"x":["a@b.co"]}}')
    assert first == Accepted('{"code":20001,"message":"PARTIAL_OK","data":{"x":["[e-mail]"]}}')
    (long, *_) = outcomes(b'{"code":20001,"x":"' + b"y " * 5000 + b'"}')
    assert isinstance(long, Accepted)
    assert len(long.note or "") == 2000


@pytest.mark.parametrize("status", [200, 401, 429])
def test_throttling_slows_the_lane(status: int) -> None:
    limited = answer(40100, "Too many requests")
    reason = "code 40100: Too many requests"
    assert outcomes(limited, status, 1) == (Throttled(reason),)
    assert outcomes(limited, status, 1, 600) == (Throttled(reason, timedelta(minutes=10)),)


@pytest.mark.parametrize(
    ("seconds", "pause"),
    [
        (None, None),
        (30, timedelta(seconds=30)),
        (0, timedelta()),
        (1e300, timedelta(hours=1)),
        (float("inf"), timedelta(hours=1)),
        (-5, None),
        (float("nan"), None),
    ],
)
def test_retry_after_is_honoured_up_to_an_hour(
    seconds: float | None, pause: timedelta | None
) -> None:
    reason = "HTTP 429 without a code of TikTok"
    assert outcomes(b"slow down", 429, 1, seconds) == (Throttled(reason, pause),)


@pytest.mark.parametrize(
    ("status", "together", "alone"),
    [
        (200, Unknown, Unknown),
        (204, Unknown, Unknown),
        (302, CredentialProblem, CredentialProblem),
        (400, Suspect, Refused),
        (401, CredentialProblem, CredentialProblem),
        (403, CredentialProblem, CredentialProblem),
        (404, CredentialProblem, CredentialProblem),
        (405, CredentialProblem, CredentialProblem),
        (407, CredentialProblem, CredentialProblem),
        (408, Deferred, Deferred),
        (413, Suspect, Refused),
        (429, Throttled, Throttled),
        (500, Unknown, Unknown),
        (502, Unknown, Unknown),
        (503, Unknown, Unknown),
        (504, Unknown, Unknown),
        (599, Unknown, Unknown),
    ],
)
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"null", b'{"message":"x"}', b'{"code":true}', b'{"code":"x"}']
)
def test_answers_without_a_code_go_by_their_status(
    body: bytes, status: int, together: type[Outcome], alone: type[Outcome]
) -> None:
    assert kinds(body, status) == {together}
    assert kinds(body, status, size=1) == {alone}


def test_a_503_that_says_when_to_come_back_has_declined() -> None:
    reason = "HTTP 503 without a code of TikTok"
    assert outcomes(b"", 503, 1, 30) == (Throttled(reason, timedelta(seconds=30)),)


@pytest.mark.parametrize(
    "message",
    [
        "Invalid value for data. 1 .event_id: not a valid string.",
        "data.1.event_id: Missing data for required field.",
        "data[1].event_time: Not a valid integer.",
        "data[ 1 ]: bad",
        "Batch.1.properties.contents.0.content_id: Not a valid string",
        "batch.1.event",
        "Invalid value for data.1.event: 'data.2'",
    ],
)
def test_a_named_event_alone_is_refused(message: str) -> None:
    waiting = Companion("refused together with another event")
    refused = Refused(f"code 40002: {message}")
    assert outcomes(answer(40002, message)) == (waiting, refused, waiting)


@pytest.mark.parametrize(
    "message",
    [
        "data.3.event_id: out of range",
        "data.99999999999.event_id",
        "metadata.1.event: not the data",
        "contents.1.price: Not a valid number",
        "event_id: bad",
        "",
    ],
)
def test_a_message_that_names_no_event_of_the_batch(message: str) -> None:
    assert kinds(answer(40002, message)) == {Suspect}
    assert kinds(answer(40002, message), size=1) == {Refused}


def test_reasons_are_bounded_and_hide_what_may_be_personal() -> None:
    echo = (
        "bad Alice.B+x@mail.example.com, +49 (30) 1234-5678, 4111111111111111, 203.0.113.7, "
        "2001:db8:0:0:8:800:200c:417a, https://shop.example/reset?token=s3cr3t, "
        "848a771458438fc2ec420560d769fb9b9b86851ee338ec56517baabd79d3bb4f at data.0"
    )
    (refused,) = outcomes(answer(40002, echo), 200, 1)
    assert refused == Refused(
        "code 40002: bad [e-mail], [number], [number], [ip], [ip], [url] [hash] at data.0"
    )
    quoted = (
        "data.0.user: 'Erika Mustermann' isn't \"one of\" 'data.0.user' or 'event_id', it's 'x'"
    )
    assert outcomes(answer(40002, quoted), 200, 1) == (
        Refused(
            "code 40002: data.0.user: [value] isn't [value] 'data.0.user' or 'event_id', "
            "it's [value]"
        ),
    )
    (long,) = outcomes(answer(40002, "x y " * 10_000), 200, 1)
    assert isinstance(long, Refused)
    assert len(long.reason) == 300


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            b'{"code":0,"request_id":"2025062217554691FA1E8FB37D612053A0"}',
            Told(0, "2025062217554691FA1E8FB37D612053A0"),
        ),
        (b'{"code":"40105","request_id":"a0b1c2d3"}', Told(40105, "a0b1c2d3")),
        (b'{"code":40002}', Told(40002, None)),
        (b'{"code":40002,"request_id":5}', Told(40002, None)),
        (b'{"code":40002,"request_id":"lena@example.com"}', Told(40002, None)),
        (b'{"code":40002,"request_id":"deadbeef\\ndeadbeef"}', Told(40002, None)),
        (b'{"code":true,"request_id":"a0b1c2d3"}', Told()),
        (b'{"request_id":"a0b1c2d3"}', Told()),
        (b'["code"]', Told()),
        (b"<html>Bad Gateway</html>", Told()),
        (b"", Told()),
    ],
)
def test_an_answer_says_its_code_and_the_id_of_the_request(body: bytes, told: Told) -> None:
    """An id is repeated only if it can be one: an answer may hold anything."""
    assert DESTINATION.told(WireResponse(200, body)) == told
