"""A move that is killed again and again, at moments nobody chose, ends as any other does."""

from __future__ import annotations

import asyncio
import base64
import os
import random
import subprocess
import sys
from pathlib import Path

import asyncpg

from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.postgres import Address
from conversion_relay.service.store.postgres import open_store as open_postgres
from conversion_relay.service.store.sqlite import open_store
from support.full_store import answers, differing, fill
from support.postgres import new_database
from support.running import environment

KEY = bytes(range(32))
_SEED = 11
_KILLS = 4
_PROGRESS = "SELECT progress FROM moves"


async def test_kills_change_nothing_of_a_move(tmp_path: Path) -> None:
    dice = random.Random(_SEED)  # noqa: S311 - reproducible, not secret
    path, url = tmp_path / "relay.db", await asyncio.to_thread(new_database)
    store = await open_store(path, Sealer([KEY]))
    await fill(store, _SEED, 800)
    await store.close()
    store = await open_store(path, Sealer([KEY]))
    before = await answers(store)
    await store.close()
    variables = environment(tmp_path, "http://127.0.0.1:9") | {
        "RELAY_ENCRYPTION_KEY": base64.b64encode(KEY).decode(),
        "RELAY_WEAK_DURABILITY": "true",
    }
    command = [sys.executable, "-m", "conversion_relay", "move"]
    command += ["--from", f"sqlite:///{path}", "--to", url]
    killed = 0
    for _ in range(_KILLS):
        killed += await _killed(command, variables, url, dice.randrange(1, 4))
    whole = await asyncio.to_thread(_run, command, variables)
    assert whole.returncode == 0, whole.stderr
    after = await open_postgres(Address(url, weak_durability=True), Sealer([KEY]))
    assert differing(before, await answers(after)) == []
    await after.close()
    print(f"kill -9 of a move: {killed} of {_KILLS} in the middle, nothing differs")  # noqa: T201


async def _killed(command: list[str], variables: dict[str, str], url: str, changes: int) -> bool:
    """Whether it was still at it when it had gone on that many times."""
    connection = await asyncpg.connect(url)
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    seen = {await connection.fetchval(_PROGRESS)}
    while process.returncode is None and len(seen) <= changes:
        seen.add(await connection.fetchval(_PROGRESS))
        await asyncio.sleep(0.002)
    was_alive = process.returncode is None
    if was_alive:
        process.kill()
    await process.wait()
    await connection.close()
    return was_alive


def _run(command: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 (our own program)
        command,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
