"""The command line: what each command says, where it says it, and its exit status."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from conversion_relay import __version__
from conversion_relay.cli import application
from conversion_relay.core.values import Json, JsonObject
from conversion_relay.sandbox import KINDS
from support.events import order, track

PREFIXES = ("RELAY_", "TIKTOK_", "SEGMENT_")
CREDENTIALS = {
    "TIKTOK_ACCESS_TOKEN": "access-token",
    "TIKTOK_PIXEL_CODE": "PIXEL1",
    "SEGMENT_SHARED_SECRET": "shared-secret",
}
MAPPING: JsonObject = {
    "name": "Registration",
    "subscribe": 'event = "Signed Up"',
    "partnerAction": "reportWebEvent",
    "mapping": {"event": "CompleteRegistration", "event_id": {"@path": "$.messageId"}},
}


def run(*arguments: str, text: str | bytes = "", **variables: str) -> Result:
    """The command in this process, configured by these variables alone."""
    unset = dict.fromkeys((name for name in os.environ if name.startswith(PREFIXES)), None)
    return CliRunner().invoke(application, list(arguments), input=text, env={**unset, **variables})


def ndjson(*events: Json) -> bytes:
    return b"".join(orjson.dumps(event) + b"\n" for event in events)


def shown(result: Result) -> list[JsonObject]:
    return [orjson.loads(line) for line in result.stdout.splitlines()]


def test_the_version() -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"{__version__}\n")


def test_help_names_every_command() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for name in ("serve", "preview", "sandbox", "demo", "replay", "dead-letters"):
        assert name in result.stdout


@pytest.mark.parametrize(
    "command", ["serve", "preview", "sandbox", "demo", "replay", "dead-letters"]
)
def test_every_command_has_help(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout


@pytest.mark.parametrize("arguments", [["nope"], ["serve", "--nope"], ["sandbox", "--port", "0"]])
def test_what_is_no_command_or_option_is_said(arguments: Sequence[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage" in result.stderr


def test_preview_reads_a_file_and_needs_no_credentials(tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_bytes(ndjson(order("m-1"), track("Nothing Of Ours", "m-2")))
    result = run("preview", str(file))
    assert result.exit_code == 0
    assert result.stderr == ""
    first, second = shown(result)
    assert list(first) == ["messageId", "deliveries", "warnings", "rejections"]
    assert first["messageId"] == "m-1"
    assert isinstance(first["deliveries"], list)
    (delivery,) = first["deliveries"]
    assert isinstance(delivery, dict)
    assert (delivery["destination"], delivery["mapping"]) == ("tiktok", "Place an Order")
    body = delivery["body"]
    assert isinstance(body, dict)
    assert body["event_source_id"] == "PIXEL_CODE"
    assert isinstance(body["data"], list)
    assert len(body["data"]) == 1
    assert second == {"messageId": "m-2", "deliveries": [], "warnings": [], "rejections": []}


def test_preview_shows_what_is_shared_and_explains_it(tmp_path: Path) -> None:
    config = tmp_path / "relay.toml"
    config.write_text(
        '[destinations.eu]\npixel_code = "P"\naccess_token = "env:T"\n'
        '[destinations.eu.sharing]\nleave_out = ["user"]\n'
    )
    told = ndjson(order("m-1"), order("m-2", integrations={"eu": False}))
    result = run("preview", "--config", str(config), "--explain", text=told)
    assert result.exit_code == 0
    assert "destinations.eu.sharing.leave_out leaves nothing by which" in result.stderr
    first, second = shown(result)
    assert '"user": {}' in json.dumps(first["deliveries"])
    assert '"field": "user"' in json.dumps(first["explanation"])
    assert "suppressions" not in first
    assert second["deliveries"] == []
    assert second["explanation"] == second["suppressions"]
    assert "says false for this destination" in json.dumps(second["suppressions"])


def test_preview_reads_standard_input_and_skips_empty_lines() -> None:
    result = run("preview", text=b"\n" + ndjson(order("m-1")) + b"  \n" + ndjson(order("m-2")))
    assert result.exit_code == 0
    assert [one["messageId"] for one in shown(result)] == ["m-1", "m-2"]


def test_preview_needs_no_line_break_at_the_end() -> None:
    result = run("preview", text=ndjson(order("m-1"), order("m-2")).rstrip())
    assert [one["messageId"] for one in shown(result)] == ["m-1", "m-2"]


def test_nothing_in_nothing_out() -> None:
    result = run("preview", text="")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("bad", [b'{"type": "track"', b"\xff\xfe", b"nonsense", b"[" * 10_000])
def test_a_line_that_is_no_json_is_named_and_the_rest_goes_on(bad: bytes) -> None:
    result = run("preview", text=ndjson(order("m-1")) + bad + b"\n" + ndjson(order("m-2")))
    assert result.exit_code == 1
    assert [one["messageId"] for one in shown(result)] == ["m-1", "m-2"]
    assert result.stderr.startswith("line 2 is ")
    assert len(result.stderr.splitlines()) == 1


def test_a_number_of_any_size_is_an_id() -> None:
    result = run("preview", text=b'{"type":"track","messageId":' + b"9" * 40 + b"}\n")
    assert result.exit_code == 0
    assert result.stdout.startswith('{"messageId":' + "9" * 40 + ",")


def test_a_misspelt_variable_is_a_warning() -> None:
    result = run("preview", text=ndjson(order("m-1")), RELAY_PRESET="tiktok-standard-events")
    assert result.exit_code == 0
    assert [one["messageId"] for one in shown(result)] == ["m-1"]
    assert result.stderr == (
        "conversion-relay: warning: RELAY_PRESET is not a setting and has no effect; "
        "did you mean RELAY_PRESETS?\n"
    )


def test_json_that_is_no_event_is_a_rejection() -> None:
    result = run("preview", text=ndjson(5, {"messageId": "m-1"}))
    assert result.exit_code == 0
    for line in shown(result):
        assert line["deliveries"] == []
        assert isinstance(line["rejections"], list)
        (rejection,) = line["rejections"]
        assert isinstance(rejection, dict)
        assert rejection["mapping"] is None
        assert rejection["reason"]


def test_preview_takes_mappings_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mappings.json"
    file.write_bytes(orjson.dumps([MAPPING]))
    result = run(
        "preview", "--mappings", str(file), text=ndjson(track("Signed Up", "m-1"), order("m-2"))
    )
    assert result.exit_code == 0
    first, second = shown(result)
    assert isinstance(first["deliveries"], list)
    assert [one["mapping"] for one in first["deliveries"] if isinstance(one, dict)] == [
        "Registration"
    ]
    assert second["deliveries"] == []


def test_preview_takes_a_configuration_without_its_secrets(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(
        '[sources.web]\nsigning_secrets = ["env:UNSET"]\n'
        '[destinations.eu]\npixel_code = "EU1"\naccess_token = "env:UNSET"\n'
        '[destinations.us]\npixel_code = "US1"\naccess_token = "file:nowhere"\n',
        "utf-8",
    )
    for result in (
        run("preview", "--config", str(file), text=ndjson(order("m-1"))),
        run("preview", text=ndjson(order("m-1")), RELAY_CONFIG=str(file)),
    ):
        assert result.exit_code == 0, result.stderr
        (line,) = shown(result)
        assert isinstance(line["deliveries"], list)
        names = [one["destination"] for one in line["deliveries"] if isinstance(one, dict)]
        assert names == ["eu", "us"]


@pytest.mark.parametrize(
    ("file", "reason"),
    [("no-such-file.ndjson", "No such file or directory"), (".", "Is a directory")],
)
def test_a_file_of_events_that_cannot_be_read_is_said(file: str, reason: str) -> None:
    result = run("preview", file)
    assert result.exit_code == 1
    assert result.stderr == f"conversion-relay: {file} cannot be read: {reason}\n"


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        (["serve"], {}, "TIKTOK_ACCESS_TOKEN"),
        (["serve"], CREDENTIALS | {"RELAY_PORT": "http"}, "RELAY_PORT"),
        (["serve"], CREDENTIALS | {"RELAY_PRESETS": "nope"}, "nope.json"),
        (["serve"], CREDENTIALS | {"RELAY_PRESETS_FOLDER": "no-folder"}, "no-folder"),
        (["serve", "--config", "no-such.toml"], {}, "no-such.toml cannot be read"),
        (["serve", "--config", "."], {}, ". cannot be read: Is a directory"),
        (["preview", "--mappings", "."], {}, ". cannot be read: Is a directory"),
        (["preview"], {"RELAY_PRESETS": "nope"}, "tiktok-conversions"),
        (["preview", "--mappings", "no-such.json"], {}, "no-such.json cannot be read"),
        (["sandbox", "--fault", "nope"], {}, "unknown fault 'nope'"),
        (["sandbox", "--fault", "server_error=200"], {}, "500 to 599"),
    ],
)
def test_what_is_wrong_is_one_message_and_status_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: Sequence[str],
    variables: dict[str, str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments, **variables)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("conversion-relay: ")
    assert result.stderr.count("conversion-relay: ") == 1
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert "access-token" not in result.stderr
    assert list(tmp_path.iterdir()) == [], "nothing is made before the configuration is good"


def test_every_mistake_of_a_mapping_is_named(tmp_path: Path) -> None:
    bad = MAPPING | {
        "subscribe": "event == 1",
        "mapping": {"event": {"@nope": 1}, "x": {"@if": 1}},
    }
    file = tmp_path / "mappings.json"
    file.write_bytes(orjson.dumps([bad]))
    result = run("preview", "--mappings", str(file))
    assert result.exit_code == 2
    for part in (str(file), "Registration", "column 7", "/event/@nope", "/x/@if"):
        assert part in result.stderr


TWO_SOURCES = """
[sources.web]
authentication = "none"
destinations = ["one"]
match_keys = true
[sources.app]
authentication = "none"
[destinations.one]
pixel_code = "P1"
access_token = "env:TOKEN"
[destinations.two]
pixel_code = "P2"
access_token = "env:TOKEN"
"""


@pytest.mark.parametrize(
    ("source", "destinations", "has_email"),
    [("web", ["one"], True), ("app", ["one", "two"], False), ("", ["one", "two"], False)],
)
def test_a_preview_for_a_source(
    tmp_path: Path, source: str, destinations: Sequence[str], *, has_email: bool
) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(TWO_SOURCES, "utf-8")
    bare = order("o-1", context={})
    told: JsonObject = {"type": "identify", "userId": bare["userId"], "traits": {"email": "a@b.c"}}
    chosen = ["--source", source] if source else []
    result = run("preview", "--config", str(file), *chosen, text=ndjson(told, bare))
    deliveries = shown(result)[1]["deliveries"]
    assert isinstance(deliveries, list)
    assert [one["destination"] for one in deliveries if isinstance(one, dict)] == destinations
    assert ("email" in orjson.dumps(deliveries[0]).decode()) == has_email


def test_a_preview_for_a_source_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(TWO_SOURCES, "utf-8")
    result = run("preview", "--config", str(file), "--source", "shop", text=ndjson(order("o-1")))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no source of this name; known: web, app" in result.stderr


def test_the_sandbox_lists_its_faults() -> None:
    result = run("sandbox", "--fault", "help")
    assert result.exit_code == 0
    assert re.findall(r"^  (\w+): ", result.stdout, re.MULTILINE) == list(KINDS)


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "conversion_relay", "--version"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")


@pytest.mark.slow
def test_the_demonstration_ends_by_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "conversion_relay", "demo", "--once"],
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Order Completed" in done.stdout
    assert "accepted" in done.stdout
    assert "refused" not in done.stdout
    assert "on its way" not in done.stdout
