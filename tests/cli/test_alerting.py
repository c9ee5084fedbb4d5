"""`alerts test`: whether alerts get where they should, channel by channel."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import orjson
from typer.testing import CliRunner, Result

from conversion_relay.cli import application
from support.ports import free_port

PREFIXES = ("RELAY_", "TIKTOK_", "SEGMENT_")


def alerts_test(**variables: str) -> Result:
    """The command with these settings."""
    unset = dict.fromkeys((name for name in os.environ if name.startswith(PREFIXES)), None)
    usual = {
        "TIKTOK_ACCESS_TOKEN": "token",
        "TIKTOK_PIXEL_CODE": "PIXEL",
        "SEGMENT_SHARED_SECRET": "secret",
        "RELAY_ALERT_ALLOW_PRIVATE_ADDRESSES": "true",
    }
    return CliRunner().invoke(application, ["alerts", "test"], env={**unset, **usual, **variables})


@contextmanager
def _receiving(got: list[bytes]) -> Iterator[str]:
    """A webhook in another thread; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/path-secret"
        server.shutdown()
        thread.join()


def test_each_channel_gets_a_test() -> None:
    got: list[bytes] = []
    with _receiving(got) as address:
        result = alerts_test(RELAY_ALERT_SLACK_URL=address, RELAY_ALERT_WEBHOOK_URL=address)
    assert result.stdout == "slack 127.0.0.1: sent\nwebhook 127.0.0.1: sent\n"
    assert result.exit_code == 0
    texts = [orjson.loads(body) for body in got]
    assert sorted("attachments" in text for text in texts) == [False, True]
    assert all(b"Nothing is wrong" in body for body in got)


def test_one_that_fails_is_named_with_the_reason_and_the_others_still_get_it() -> None:
    got: list[bytes] = []
    with _receiving(got) as address:
        result = alerts_test(
            RELAY_ALERT_SLACK_URL=f"http://127.0.0.1:{free_port()}/path-secret",
            RELAY_ALERT_WEBHOOK_URL=address,
        )
    assert result.stdout == ("slack 127.0.0.1: not sent: connect error\nwebhook 127.0.0.1: sent\n")
    assert result.exit_code == 1
    assert len(got) == 1
    assert "path-secret" not in result.output


def test_private_addresses_have_to_be_allowed() -> None:
    result = alerts_test(
        RELAY_ALERT_SLACK_URL="http://127.0.0.1:1/x", RELAY_ALERT_ALLOW_PRIVATE_ADDRESSES="false"
    )
    assert "this machine; only public ones are allowed" in result.stdout
    assert result.exit_code == 1


def test_without_a_channel_it_says_how_to_set_one() -> None:
    result = alerts_test()
    assert "no channel is configured; set alerts.slack_urls" in result.stderr
    assert result.exit_code == 1
