"""Dockerfile and compose file, as far as they can be checked without an engine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from conversion_relay.service.environment import VARIABLES

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
COMPOSE = (ROOT / "compose.yaml").read_text("utf-8")


def _docker_command() -> list[str]:
    (found,) = re.findall(r"^HEALTHCHECK .*\\\n +CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    command: list[str] = json.loads(found)
    return command


def _compose_command() -> list[str]:
    (found,) = re.findall(r"^ +test: (\[.*\])$", COMPOSE, re.MULTILINE)
    command: list[str] = json.loads(found)
    assert command.pop(0) == "CMD"
    return command


class Answering(BaseHTTPRequestHandler):
    """Answers every path with the status of its server."""

    def do_GET(self) -> None:
        """Answers."""
        assert isinstance(self.server, Server)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class Server(HTTPServer):
    """An HTTP server whose status is set by the test."""

    status = 200


@pytest.fixture
def server() -> Iterator[Server]:
    serving = Server(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
    thread.start()
    yield serving
    serving.shutdown()
    thread.join()
    serving.server_close()


def _checked(command: list[str], port: int) -> int:
    """The exit status of a health check, in an environment that names a proxy."""
    assert command[0] == "python"
    arguments = [one.replace("9090", str(port)) for one in command[1:]]
    environment = {"RELAY_PORT": str(port), "http_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(  # noqa: S603 - our own command with our own arguments
        [sys.executable, *arguments],
        env=environment,
        check=False,
        timeout=20,
        stderr=subprocess.DEVNULL,
    )
    return done.returncode


@pytest.mark.parametrize(
    "command", [_docker_command(), _compose_command()], ids=["image", "sandbox"]
)
def test_the_health_check_tells_well_from_ill(server: Server, command: list[str]) -> None:
    assert _checked(command, server.server_port) == 0
    server.status = 503
    assert _checked(command, server.server_port) != 0


def test_the_health_check_fails_when_nobody_listens(server: Server) -> None:
    port = server.server_port
    server.shutdown()
    server.server_close()
    assert _checked(_docker_command(), port) != 0


def test_what_the_image_copies_is_let_through() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    assert {name for group in copied for name in group.split()} == allowed
    assert all((ROOT / name).exists() for name in allowed)


def test_the_image_runs_as_somebody_else_than_root() -> None:
    (user,) = re.findall(r"^USER (\w+)$", DOCKERFILE, re.MULTILINE)
    assert user != "root"


def test_the_compose_file_names_variables_there_are() -> None:
    known = {variable.name for variable in VARIABLES}
    assert set(re.findall(r"^ +([A-Z_]+): \$", COMPOSE, re.MULTILINE)) <= known
    assert set(re.findall(r"\b(RELAY_\w+)=", DOCKERFILE)) <= known
