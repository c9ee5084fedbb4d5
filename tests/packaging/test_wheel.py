"""The built wheel: what is in it, and that the service runs from it, away from the checkout.

Only the wheel is installed, into a folder of its own; its dependencies are those of the
environment that runs the tests.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import orjson
import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "conversion_relay"
SECRET = "shared-secret"
EVENT = {
    "type": "track",
    "event": "Order Completed",
    "messageId": "wheel-1",
    "userId": "buyer-1",
    "timestamp": "2026-11-20T10:00:00Z",
    "properties": {"revenue": 9.5, "currency": "EUR"},
}
_WAIT_SECONDS = 30

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    _run("-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT))
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the installed wheel and nothing else."""
    target = tmp_path_factory.mktemp("installed")
    _run(
        "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--no-index", "--target", str(target), str(wheel),
    )  # fmt: skip
    return target


def _run(*arguments: str) -> None:
    done = subprocess.run(  # noqa: S603 - our own command with our own arguments
        [sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_holds_the_package_and_its_data(wheel: Path) -> None:
    expected = {f"conversion_relay/{path}" for path in _files(PACKAGE)}
    expected |= {f"conversion_relay/presets/{path}" for path in _files(ROOT / "presets")}
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    inside = {name for name in names if ".dist-info/" not in name}
    assert inside == expected
    for needed in ("py.typed", "demo_events.ndjson", "presets/tiktok-conversions.json"):
        assert f"conversion_relay/{needed}" in inside
    assert any(name.endswith(".sql") for name in inside)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(folder)


def test_preview_finds_its_presets(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603 - our own command with our own arguments
        _command("preview"), input=orjson.dumps(EVENT), capture_output=True, check=False,
        timeout=_WAIT_SECONDS, cwd=tmp_path, env=_environment(installed),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    shown = orjson.loads(done.stdout)
    assert [one["mapping"] for one in shown["deliveries"]] == ["Place an Order"]


def test_it_runs_from_where_it_was_installed(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", "import conversion_relay; print(conversion_relay.__file__)"],
        capture_output=True, text=True, check=False, timeout=_WAIT_SECONDS, cwd=tmp_path,
        env=_environment(installed),
    )  # fmt: skip
    assert Path(done.stdout.strip()).is_relative_to(installed), done.stdout + done.stderr


def test_the_service_delivers_and_ends_on_sigterm(installed: Path, tmp_path: Path) -> None:
    api_port, port = _free_port(), _free_port()
    api, service = f"http://127.0.0.1:{api_port}", f"http://127.0.0.1:{port}"
    settings = {
        "TIKTOK_ACCESS_TOKEN": "token",
        "TIKTOK_PIXEL_CODE": "PIXEL",
        "TIKTOK_API_URL": api,
        "SEGMENT_SHARED_SECRET": SECRET,
        "RELAY_PORT": str(port),
        "RELAY_DATABASE_URL": f"sqlite:///{tmp_path / 'data' / 'relay.db'}",
    }
    sandbox = _started(["sandbox", "--port", str(api_port)], installed, tmp_path, {})
    with sandbox as stand_in, _started(["serve"], installed, tmp_path, settings) as process:
        _wait_for(lambda: _get(f"{api}/__sandbox/conversions") is not None)
        _wait_for(lambda: _get(f"{service}/readyz") is not None)
        assert _post(f"{service}/webhook/default").json()["accepted"] == 1
        _wait_for(lambda: _conversions(api) == [("PlaceAnOrder", "wheel-1")])
        for one in (process, stand_in):
            one.send_signal(signal.SIGTERM)
        assert process.wait(_WAIT_SECONDS) == 0
        assert stand_in.wait(_WAIT_SECONDS) == 0
    assert (tmp_path / "data" / "relay.db.lock").read_bytes() == b"", "it ended cleanly"


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "conversion_relay", *arguments]


def _environment(installed: Path) -> dict[str, str]:
    prefixes = ("RELAY_", "TIKTOK_", "SEGMENT_", "COVERAGE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    return kept | {"PYTHONPATH": str(installed)}


@contextmanager
def _started(
    arguments: list[str], installed: Path, folder: Path, settings: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A command as a process; killed on leaving if it is still there."""
    with (folder / f"{arguments[0]}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command with our own arguments
            _command(*arguments), stdout=log, stderr=subprocess.STDOUT, cwd=folder,
            env=_environment(installed) | settings,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _get(url: str) -> httpx.Response | None:
    try:
        answer = httpx.get(url, trust_env=False)
    except httpx.TransportError:
        return None
    return answer if answer.is_success else None


def _post(url: str) -> httpx.Response:
    body = orjson.dumps(EVENT)
    signature = hmac.new(SECRET.encode(), body, hashlib.sha1).hexdigest()
    headers = {"Content-Type": "application/json", "X-Signature": signature}
    return httpx.post(url, content=body, headers=headers, trust_env=False).raise_for_status()


def _conversions(api: str) -> list[tuple[str, str]]:
    answer = _get(f"{api}/__sandbox/conversions")
    assert answer is not None
    return [(one["event"], one["event_id"]) for one in answer.json()["conversions"]]


def _wait_for(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while not done():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
