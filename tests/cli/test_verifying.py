"""The command `verify`: what it tries, whom it asks, what it says, and its exit status."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from conversion_relay.cli import application
from conversion_relay.core.values import Json, JsonObject
from conversion_relay.sandbox import create_sandbox, running_in_thread
from support.events import order, track
from support.ports import free_port

PREFIXES = ("RELAY_", "TIKTOK_", "SEGMENT_")
SECRETS = {"WEB": "very-web-secret", "BEARER": "very-bearer-secret", "TIKTOK": "very-good-token"}
TOML = """
[sources.web]
signing_secrets = ["env:WEB"]
bearer_tokens = ["env:BEARER"]
[destinations.eu]
pixel_code = "PIXEL-EU"
access_token = "env:TIKTOK"
api_url = "SANDBOX"
mappings = "MAPPINGS"
"""
ORDERS: JsonObject = {
    "event": "PlaceAnOrder",
    "event_id": {"@path": "$.messageId"},
    "timestamp": {"@path": "$.timestamp"},
    "email": {"@path": "$.context.traits.email"},
    "value": {"@path": "$.properties.revenue"},
    "currency": {"@path": "$.properties.currency"},
}
NOT_ASKED = "destinations: nothing was sent to them (--offline)\n"


def mapping(trigger: str = 'event = "Order Completed"', **changes: Json) -> JsonObject:
    """Orders, changed so; None takes a field away."""
    fields: JsonObject = {
        key: one for key, one in {**ORDERS, **changes}.items() if one is not None
    }
    return {
        "name": "Orders",
        "subscribe": trigger,
        "partnerAction": "reportWebEvent",
        "mapping": fields,
    }


def configure(folder: Path, api_url: str, *mappings: JsonObject, name: str = "relay") -> Path:
    """A configuration with these mappings."""
    file, own = folder / f"{name}.toml", folder / f"{name}.json"
    own.write_bytes(orjson.dumps(mappings or [mapping()]))
    file.write_text(TOML.replace("SANDBOX", api_url).replace("MAPPINGS", str(own)), "utf-8")
    return file


def write(path: Path, *events: Json | bytes) -> Path:
    lines = (one if isinstance(one, bytes) else orjson.dumps(one) for one in events)
    path.write_bytes(b"\n".join(lines))
    return path


def verify(*arguments: str | Path, text: bytes = b"", **variables: str | None) -> Result:
    unset = dict.fromkeys((name for name in os.environ if name.startswith(PREFIXES)), None)
    result = CliRunner().invoke(
        application,
        ["verify", *map(str, arguments)],
        input=text,
        env={**unset, **SECRETS, **variables},
    )
    assert "very-" not in result.output
    return result


@pytest.fixture
def api_url() -> Iterator[str]:
    """Of a TikTok that knows one token."""
    sandbox = create_sandbox(
        clock=lambda: 1_795_000_000.0, access_tokens=frozenset({SECRETS["TIKTOK"]})
    )
    with running_in_thread(sandbox) as url:
        yield url


NOWHERE = "http://127.0.0.1:9"


def test_all_is_well(tmp_path: Path, api_url: str) -> None:
    config = configure(tmp_path, api_url)
    events = write(tmp_path / "events.ndjson", order("m-1"), order("m-2"), track("Other", "m-3"))
    result = verify("--config", config, "--against", events)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(
        f"The configuration ({config}) can be used.\n"
        f"{events}: 3 events on 3 lines\n"
        "        2  sent as PlaceAnOrder: destination eu, mapping Orders\n"
        "        1  not sent: no trigger matches\n"
        "destinations, asked:\n"
        "  destination eu: TikTok accepted the access token, and refused an event that is "
    )
    assert result.stdout.endswith("\nVerified.\n")


def test_without_events_it_says_that_none_were_tried(tmp_path: Path, api_url: str) -> None:
    result = verify("--config", configure(tmp_path, api_url))
    assert result.exit_code == 0
    assert "events: none were tried; --against FILE tries those of a file\n" in result.stdout


@pytest.mark.parametrize(
    ("token", "failure"),
    [
        ("very-bad-token", "destination eu: the access token or a setting is refused"),
        (None, None),
    ],
)
def test_tiktok_has_to_accept_it(
    token: str | None, failure: str | None, tmp_path: Path, api_url: str
) -> None:
    result = verify("--config", configure(tmp_path, api_url), TIKTOK=token)
    if failure is None:
        assert result.exit_code == 2
        assert "names the environment variable TIKTOK, which is not set" in result.stderr
    else:
        assert result.exit_code == 1
        assert result.stderr == f"conversion-relay: not verified: {failure}\n"
        assert "code 40105" in result.stdout
        assert "Verified." not in result.stdout


def test_nobody_answers(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    result = verify("--config", configure(tmp_path, address))
    assert result.exit_code == 1
    assert f"destination eu: {address} did not answer (connect error)" in result.stdout
    assert result.stderr == (
        "conversion-relay: not verified: destination eu: nothing was learnt; try again, or see "
        "how it is reached\n"
    )


def test_offline_needs_neither_secrets_nor_network(tmp_path: Path) -> None:
    config = configure(tmp_path, NOWHERE)
    result = verify("--config", config, "--offline", TIKTOK=None, WEB=None, BEARER=None)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.endswith(f"{NOT_ASKED}Verified.\n")
    alone = verify("--offline")
    assert (alone.exit_code, alone.stderr) == (0, "")
    assert alone.stdout.startswith("The configuration (the environment) can be used.\n")


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    config = configure(tmp_path, NOWHERE, mapping(trigger="event ="))
    config.write_text(config.read_text("utf-8") + 'retry_horizn = "7d"\n', "utf-8")
    result = verify("--config", config, "--offline")
    assert result.exit_code == 2
    assert "retry_horizn" in result.stderr
    assert "column" in result.stderr
    assert result.stdout == ""
    for wrong in (("--baseline", config), ("--allow-rejections", "-1")):
        assert verify(*wrong).exit_code == 2


NOT_JSON = b'{"email": "lena.brandt@example.com"'
REJECTED = mapping(event={"@path": "$.properties.conversion"})


def test_rejections_are_counted_and_located(tmp_path: Path) -> None:
    config = configure(tmp_path, NOWHERE, REJECTED)
    events = [order(f"m-{number}") for number in range(8)]
    file = write(tmp_path / "events.ndjson", *events, track("Other", "m-9"))
    result = verify("--config", config, "--against", file, "--offline")
    assert result.exit_code == 1
    assert (
        "        8  rejected: destination eu, mapping Orders: event is required, it is missing "
        "(lines 1, 2, 3, 4, 5, …)\n"
    ) in result.stdout
    assert result.stderr == (
        f"conversion-relay: not verified: {file}: 8 rejected, and --allow-rejections is 0\n"
    )


@pytest.mark.parametrize(("allowed", "status"), [("1", 1), ("2", 0), ("3", 0)])
def test_so_many_rejections_are_no_failure(allowed: str, status: int, tmp_path: Path) -> None:
    config = configure(tmp_path, NOWHERE, REJECTED)
    file = write(tmp_path / "events.ndjson", order("m-1"), order("m-2"))
    options = ("--offline", "--allow-rejections", allowed)
    assert verify("--config", config, "--against", file, *options).exit_code == status


def test_lines_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    file = write(tmp_path / "events.ndjson", order("m-1"), NOT_JSON, b"", b"[1]", {"a": 1})
    result = verify("--config", configure(tmp_path, NOWHERE), "--against", file, "--offline")
    assert result.exit_code == 1
    assert "  line 2 is no JSON: " in result.stdout
    assert "  line 4 holds no event: " in result.stdout
    assert "lena" not in result.output
    missing = verify("--config", configure(tmp_path, NOWHERE), "--against", tmp_path / "none")
    assert missing.exit_code == 1
    assert f"{tmp_path / 'none'} cannot be read" in missing.stderr


def test_what_is_held_back_or_left_out_is_told(tmp_path: Path) -> None:
    config = configure(tmp_path, NOWHERE)
    config.write_text(config.read_text("utf-8") + 'consent_categories = ["Ads"]\n', "utf-8")
    consent = {"consent": {"categoryPreferences": {"Ads": True}}}
    fine = order("m-1", context=consent, properties={"currency": "XXX"})
    file = write(tmp_path / "events.ndjson", fine, order("m-2"))
    result = verify("--config", config, "--against", file, "--offline")
    assert result.exit_code == 0
    assert (
        "        1  held back: destination eu, mapping Orders: context.consent is missing, and "
        "consent is required (line 2)\n"
        "        1  with a warning: destination eu, mapping Orders: currency is not one of "
        "TikTok's currencies; it is left out (line 1)\n"
    ) in result.stdout


def test_gzip_and_standard_input_are_read_as_well(tmp_path: Path) -> None:
    config = configure(tmp_path, NOWHERE)
    packed = gzip.compress(orjson.dumps(order("m-1")) + b"\n" + orjson.dumps(order("m-2")))
    (tmp_path / "events.gz").write_bytes(packed)
    for against, text in ((tmp_path / "events.gz", b""), ("-", packed)):
        result = verify("--config", config, "--against", against, "--offline", text=text)
        assert result.exit_code == 0
        assert "        2  sent as PlaceAnOrder" in result.stdout
    (tmp_path / "events.gz").write_bytes(packed[:-12])
    cut = verify("--config", config, "--against", tmp_path / "events.gz", "--offline")
    assert cut.exit_code == 1
    assert "and what follows: the gzip data ends too early" in cut.stdout


RENAMED = "is sent 2 times now, and then never; they would go as Purchase"
CHANGES: dict[str, tuple[JsonObject, int, Sequence[str]]] = {
    "nothing": (mapping(), 0, ["  nothing would change"]),
    "a field": (
        mapping(value=None),
        0,
        ["  change: destination eu, mapping Orders: 2 requests differ, in properties.value"],
    ),
    "a name": (
        mapping(event="Purchase"),
        1,
        [f"  objection: destination eu, event PlaceAnOrder: {RENAMED}"],
    ),
    "a misspelt trigger": (
        mapping(trigger='event = "Order Complete"'),
        1,
        [
            "  objection: destination eu: 2 deliveries now, then none",
            "  change: destination eu, mapping Orders, event PlaceAnOrder: 2 now, 0 then",
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_the_difference_to_a_baseline_is_told(name: str, tmp_path: Path) -> None:
    changed, status, lines = CHANGES[name]
    old = configure(tmp_path, NOWHERE, name="old")
    new = configure(tmp_path, NOWHERE, changed, name="new")
    file = write(tmp_path / "events.ndjson", order("m-1"), order("m-2"))
    options = ("--against", file, "--baseline", old, "--offline")
    result = verify("--config", new, *options)
    assert result.exit_code == status
    assert f'compared with {old} ("now"): tried with 2 events, ' in result.stdout
    for line in lines:
        assert f"{line}\n" in result.stdout
    if status:
        assert f"not verified: 1 objected to, compared with {old}\n" in result.stderr


def test_the_events_of_a_source_go_where_it_sends_them(tmp_path: Path) -> None:
    config = configure(tmp_path, NOWHERE)
    more = '[sources.shop]\nwrite_keys = ["env:WEB"]\ndestinations = ["us"]\n'
    more += '[destinations.us]\npixel_code = "P"\naccess_token = "env:TIKTOK"\n'
    config.write_text(config.read_text("utf-8") + more, "utf-8")
    file = write(tmp_path / "events.ndjson", order("m-1"))
    options = ("--config", config, "--against", file, "--offline")
    every = verify(*options).stdout
    assert "destination eu, mapping" in every
    assert "destination us, mapping" in every
    shop = verify(*options, "--source", "shop").stdout
    assert "destination eu, mapping" not in shop
    assert "destination us, mapping" in shop
    none = verify(*options, "--source", "shp")
    assert none.exit_code == 2
    assert 'has no source "shp"; there are: web, shop' in none.stderr


def test_a_machine_gets_one_object(tmp_path: Path, api_url: str) -> None:
    config = configure(tmp_path, api_url, mapping(value=None))
    old = configure(tmp_path, api_url, name="old")
    file = write(tmp_path / "events.ndjson", order("m-1"), NOT_JSON)
    result = verify("--config", config, "--against", file, "--baseline", old, "--json")
    assert (result.exit_code, result.stderr) == (1, "")
    found = orjson.loads(result.stdout)
    assert found["passed"] is False
    assert found["failures"] == [f"{file}: 1 cannot be read"]
    assert found["events"]["deliveries"] == [
        {
            "source": "",
            "destination": "eu",
            "mapping": "Orders",
            "event_name": "PlaceAnOrder",
            "count": 1,
        }
    ]
    assert found["comparison"]["changes"] == [
        "destination eu, mapping Orders: 1 request differs, in properties.value"
    ]
    (asked,) = found["destinations"]
    assert (asked["destination"], asked["verdict"], asked["code"]) == ("eu", "sound", 40002)


def test_a_machine_gets_one_object_of_what_cannot_be_used_too(tmp_path: Path) -> None:
    result = verify("--config", tmp_path / "none.toml", "--json")
    assert result.exit_code == 2
    found = orjson.loads(result.stdout)
    assert found["passed"] is False
    assert "none.toml cannot be read" in found["failures"][0]


def test_long_files_say_how_far_they_are(tmp_path: Path) -> None:
    file = write(tmp_path / "events.ndjson", *[b'{"type": "page"}'] * 20_001)
    result = verify("--config", configure(tmp_path, NOWHERE), "--against", file, "--offline")
    assert result.exit_code == 0
    assert result.stderr == f"{file}: 10,000 lines tried\n{file}: 20,000 lines tried\n"


def test_nothing_an_event_holds_is_said(tmp_path: Path, api_url: str) -> None:
    """Whatever becomes of it: not what stands in a line, nor what would be sent."""
    old = configure(tmp_path, api_url, name="old")
    strict = configure(tmp_path, api_url, mapping(email=None, currency="XXX"))
    events = [order("m-77"), order("m-78", properties={"currency": "lamp", "revenue": "dear"})]
    file = write(tmp_path / "events.ndjson", *events, b'{"messageId": "m-79"', {"m-80": "lamp"})
    for options in ((), ("--json",)):
        result = verify("--config", strict, "--against", file, "--baseline", old, *options)
        assert result.exit_code == 1
        for value in ("m-77", "m-78", "m-79", "m-80", "Lena", "lena", "lamp", "dear", "buyer"):
            assert value not in result.output
