"""What is sent to learn whether TikTok accepts token and settings, and what its answer shows."""

from __future__ import annotations

import orjson
import pytest

from conversion_relay.core.delivery import WireResponse
from conversion_relay.core.destination import Verdict
from conversion_relay.destinations.tiktok.protocol import TikTokDestination
from conversion_relay.destinations.tiktok.web_event import TikTokSettings
from destinations.tiktok.building import NOW

DESTINATION = TikTokDestination(TikTokSettings("PIXEL"))
WHOLE = DESTINATION.probe("TEST1", NOW)
INCOMPLETE = DESTINATION.probe(None, NOW)
SOUND, REFUSED, SILENT = Verdict.SOUND, Verdict.REFUSED, Verdict.SILENT


def answer(code: int, message: str = "m", status: int = 200) -> WireResponse:
    return WireResponse(status, orjson.dumps({"code": code, "message": message, "data": {}}))


def test_with_a_test_code_it_is_a_whole_test_event() -> None:
    content = DESTINATION.request(WHOLE.envelope, [WHOLE.body], "token").content
    sent = orjson.loads(content)
    (event,) = sent.pop("data")
    assert sent == {
        "event_source": "web",
        "event_source_id": "PIXEL",
        "test_event_code": "TEST1",
    }
    assert {"event", "event_id", "event_time", "user", "page", "properties"} == event.keys()
    assert event["event_time"] == int(NOW.timestamp())
    assert "test event" in WHOLE.says


def test_without_one_it_lacks_what_tiktok_requires() -> None:
    assert orjson.loads(INCOMPLETE.envelope) == {
        "event_source": "web",
        "event_source_id": "PIXEL",
    }
    assert orjson.loads(INCOMPLETE.body) == {"event_time": int(NOW.timestamp())}
    assert "incomplete on purpose" in INCOMPLETE.says


@pytest.mark.parametrize("code", [None, "TEST1"])
def test_a_partner_name_is_tried_as_it_is_sent(code: str | None) -> None:
    named = TikTokDestination(TikTokSettings("PIXEL", partner_name="Shop")).probe(code, NOW)
    assert orjson.loads(named.envelope)["partner_name"] == "Shop"


def test_two_test_events_are_two() -> None:
    later = DESTINATION.probe("TEST1", NOW.replace(microsecond=5_000))
    assert orjson.loads(later.body)["event_id"] != orjson.loads(WHOLE.body)["event_id"]


NO_EVENT = "Invalid value for data.0.event: missing."
ANSWERS = {
    "accepted": (answer(0), SOUND, SOUND),
    "accepted in part": (answer(20001), SOUND, SOUND),
    "the event is refused": (answer(40002, NO_EVENT), REFUSED, SOUND),
    "it is refused in another status": (answer(40002, NO_EVENT, 400), REFUSED, SOUND),
    "no permission": (answer(40001), REFUSED, REFUSED),
    "no token": (answer(40104), REFUSED, REFUSED),
    "a wrong token": (answer(40105), REFUSED, REFUSED),
    "a wrong token, in HTTP 401": (answer(40105, status=401), REFUSED, REFUSED),
    "a wrong partner": (answer(40063), REFUSED, REFUSED),
    "another refusal": (answer(40010), REFUSED, REFUSED),
    "the pixel is refused": (
        answer(40002, "Invalid value for event_source_id: unknown"), REFUSED, REFUSED
    ),
    "the test code is refused": (
        answer(40002, "test_event_code: not a valid string."), REFUSED, REFUSED
    ),
    "the partner is refused": (answer(40002, "Invalid partner_name"), REFUSED, REFUSED),
    "too many requests": (answer(40100), SILENT, SILENT),
    "too many requests, in HTTP 401": (answer(40100, status=401), SILENT, SILENT),
    "TikTok's own fault": (answer(50000), SILENT, SILENT),
    "a code nobody knows": (answer(99), SILENT, SILENT),
    "accepted in HTTP 500": (answer(0, status=500), SILENT, SILENT),
    "500": (WireResponse(500, b"{}"), SILENT, SILENT),
    "502 with HTML": (WireResponse(502, b"<html>Bad Gateway</html>"), SILENT, SILENT),
    "503 with Retry-After": (WireResponse(503, b"", 5.0), SILENT, SILENT),
    "429": (WireResponse(429, b""), SILENT, SILENT),
    "200 with HTML": (WireResponse(200, b"<html>Welcome</html>"), SILENT, SILENT),
    "403 of a proxy": (WireResponse(403, b"<html>Forbidden</html>"), REFUSED, REFUSED),
    "404: the address is wrong": (WireResponse(404, b""), REFUSED, REFUSED),
    "a redirect": (WireResponse(302, b""), REFUSED, REFUSED),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_what_an_answer_shows(name: str) -> None:
    reply, of_whole, of_incomplete = ANSWERS[name]
    assert DESTINATION.verdict(WHOLE, reply)[0] is of_whole
    assert DESTINATION.verdict(INCOMPLETE, reply)[0] is of_incomplete


def test_it_is_told_as_what_it_is() -> None:
    _, whole = DESTINATION.verdict(WHOLE, answer(0))
    assert whole == (
        "TikTok accepted a test event, which TikTok shows under Test Events and does not count"
    )
    _, incomplete = DESTINATION.verdict(INCOMPLETE, answer(40002, NO_EVENT))
    assert "accepted the access token, and refused an event that is incomplete" in incomplete
    assert "not whether an event would be counted" in incomplete
    _, proxy = DESTINATION.verdict(WHOLE, WireResponse(403, b"<html>"))
    assert proxy.startswith("something on the way to TikTok refuses")
    _, token = DESTINATION.verdict(WHOLE, answer(40105, "Access token is incorrect"))
    assert token.endswith("code 40105: Access token is incorrect")


def test_nothing_personal_of_an_answer_is_repeated() -> None:
    for code in (40105, 40002, 50000):
        _, sentence = DESTINATION.verdict(WHOLE, answer(code, "user lena@example.com 'Lena'"))
        assert "lena" not in sentence.lower()
