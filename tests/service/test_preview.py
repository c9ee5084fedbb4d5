"""What would be sent: every line gets its result, whatever stands in the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import orjson
import pytest
from typing_extensions import override

from conversion_relay.core.destination import OutgoingRequest
from conversion_relay.core.match_keys import Memory
from conversion_relay.core.values import Json, JsonObject
from conversion_relay.service.preview import Previewed, Unshown, preview
from support.toy import Toy, target


@dataclass(frozen=True, slots=True)
class JsonToy(Toy):
    """Its requests are JSON."""

    @override
    def request(self, envelope: str, bodies: Sequence[bytes], credential: str) -> OutgoingRequest:
        """A list of the bodies."""
        return OutgoingRequest("POST", "/greet", {}, b"[" + b",".join(bodies) + b"]")


NOW = datetime(2026, 1, 10, tzinfo=UTC)
TOY = (replace(target(), destination=JsonToy()),)


def hello(message_id: object = '"m-1"', name: str = "Ada") -> bytes:
    text = f'{{"type":"track","event":"Hello","messageId":{message_id}'
    return f'{text},"properties":{{"name":"{name}"}}}}\n'.encode()


def nested(depth: int, inside: str = "1") -> str:
    return "[" * depth + inside + "]" * depth


def results(*lines: bytes) -> list[JsonObject | Unshown]:
    return [
        orjson.loads(one.line) if isinstance(one, Previewed) else one
        for one in preview(lines, TOY, NOW)
    ]


def shown(*lines: bytes) -> list[Json]:
    found: list[Json] = []
    for one in results(*lines):
        assert not isinstance(one, Unshown)
        found.append(one["messageId"])
    return found


def test_a_line_for_each_event() -> None:
    (first,) = results(hello())
    assert not isinstance(first, Unshown)
    assert list(first) == ["messageId", "deliveries", "warnings", "rejections"]
    assert first["messageId"] == "m-1"


def forbidden() -> bytes:
    return hello().replace(b'"properties"', b'"integrations":{"All":false},"properties"')


def test_what_the_event_forbids_is_shown_only_where_there_is_any() -> None:
    (first,) = results(forbidden())
    assert not isinstance(first, Unshown)
    assert list(first) == ["messageId", "deliveries", "warnings", "rejections", "suppressions"]
    note = {"destination": "toy", "mapping": "Greet", "field": "integrations"}
    assert first["suppressions"] == [note | {"reason": "says false for All"}]
    assert (first["deliveries"], first["rejections"]) == ([], [])


def test_an_explanation_is_there_when_it_is_asked_for_even_if_empty() -> None:
    lines = list(preview([forbidden(), hello()], TOY, NOW, explain=True))
    shown_lines = [orjson.loads(one.line) for one in lines if isinstance(one, Previewed)]
    assert [one["explanation"] for one in shown_lines] == [shown_lines[0]["suppressions"], []]


@pytest.mark.parametrize("digits", [19, 40, 4000])
def test_a_big_number_keeps_its_digits(digits: int) -> None:
    number = "9" * digits
    (result,) = preview([hello(number)], TOY, NOW)
    assert isinstance(result, Previewed)
    assert result.line.startswith(f'{{"messageId":{number},"deliveries":[{{')


def test_an_id_that_is_none_is_shown_as_it_was_sent() -> None:
    deep: Json = orjson.loads(nested(300))
    assert shown(hello("null"), hello('{"a":[true]}'), hello(nested(300))) == [
        None,
        {"a": [True]},
        deep,
    ]


def test_a_number_beyond_all_numbers_is_null_and_stays_json() -> None:
    assert shown(hello("1e999")) == [None]


@pytest.mark.parametrize(
    "line",
    [
        hello(nested(100_000)),
        hello(nested(980, r'"\ud800"')),
        hello(nested(980)),
        hello("9" * 5000),
        b"[" * 100_000,
        b"\xff\n",
        b'{"type":"track"\n',
        hello(name="explosive"),
    ],
    ids=["deep", "surrogate", "recursion", "digits", "list", "not-utf-8", "no-json", "fault"],
)
def test_a_line_that_cannot_be_shown_costs_no_other(line: bytes) -> None:
    first, middle, last = results(hello('"before"'), line, hello('"after"'))
    assert not isinstance(first, Unshown)
    assert not isinstance(last, Unshown)
    assert (first["messageId"], last["messageId"]) == ("before", "after")
    if isinstance(middle, Unshown):
        assert middle.number == 2
        assert middle.problem
        assert "explosive" not in middle.problem
    else:
        assert line.startswith(hello(nested(980))[:80]), "a parser may be deep enough"


def test_a_fault_of_the_service_is_called_by_its_kind() -> None:
    assert results(hello(name="explosive")) == [
        Unshown(1, "could not be planned (ZeroDivisionError)")
    ]


def test_what_is_no_json_says_where() -> None:
    (problem,) = results(b'{"a" 1}')
    assert isinstance(problem, Unshown)
    assert problem.problem.startswith("is no JSON: ")
    assert "character 6" in problem.problem


IDENTIFY = b'{"type":"identify","messageId":"i","userId":"ada","traits":{"email":"ADA@shop"}}\n'
OF_ADA = hello().replace(b'"type"', b'"userId":"ada","type"')


def test_earlier_lines_teach_later_ones_where_there_is_a_memory() -> None:
    lines = (OF_ADA, IDENTIFY, OF_ADA)
    found = list(preview(lines, TOY, NOW, Memory(), explain=True))
    parts = [orjson.loads(one.line) for one in found if isinstance(one, Previewed)]
    first, last = parts[0], parts[2]
    assert "email" not in first["deliveries"][0]["body"][0]
    assert last["deliveries"][0]["body"][0]["email"] == "ada@shop"
    assert first["explanation"] == []
    reasons = {one["field"]: one["reason"] for one in last["explanation"]}
    assert reasons.keys() == {"email", "id"}
    assert reasons["email"] == "is filled in from an earlier identify of the same person"
    assert results(*lines)[2] == results(OF_ADA)[0]
