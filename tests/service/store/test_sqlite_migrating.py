"""From one schema to the next: with a backlog, and through a kill in the middle."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import apsw
import orjson
import pytest

from conversion_relay.core.delivery import State
from conversion_relay.service.sealing import Packing, Sealer, binding
from conversion_relay.service.store.embedded.connection import open_writing, transaction
from conversion_relay.service.store.originals import seal_originals
from conversion_relay.service.store.port import Disposition, Receipt
from conversion_relay.service.store.rows import body_context
from conversion_relay.service.store.sqlite import open_store
from conversion_relay.service.store.sqlite.schema import migrate, migrations
from conversion_relay.service.store.times import to_microseconds
from service.store.conftest import KEY
from service.store.examples import LEASE, NOW, WEB, delivered, event

BACKLOG = 300
STATES = ["pending", "claimed", "delivered", "dead", "uncertain"]
HANGING = """
import sys
from pathlib import Path
from conversion_relay.service.store.embedded.connection import open_writing
from conversion_relay.service.store.sqlite.schema import Migration, migrate, migrations

def halt():
    print("inside", flush=True)
    sys.stdin.readline()

version = int(sys.argv[2])
connection = open_writing(Path(sys.argv[1]), None)
connection.create_scalar_function("halt", halt, 0)
scripts = [
    Migration(one.version, one.script + "SELECT halt();" if one.version == version else one.script)
    for one in migrations()
]
migrate(connection, scripts)
"""


def first_release(path: Path) -> None:
    """A database as the first release left it, with deliveries in every state it had."""
    path.parent.mkdir(parents=True)
    connection = open_writing(path, None)
    migrate(connection, migrations()[:1])
    sealer, at = Sealer([KEY]), to_microseconds(NOW)
    proof = sealer.seal(b"this key sealed here", binding("proof", sealer.key_id))
    events = [event(f"m{number}") for number in range(1, BACKLOG + 1)]
    with transaction(connection):
        connection.execute("INSERT INTO sealing_keys VALUES (?, ?)", (sealer.key_id, proof))
        connection.execute("INSERT INTO envelopes VALUES (1, 'tiktok', ?)", (WEB,))
        for chunk in seal_originals(events, 1, sealer):
            row = (chunk.first_event, chunk.last_event, chunk.sealed)
            connection.execute("INSERT INTO originals VALUES (?, ?, ?)", row)
        for number, one in enumerate(events, 1):
            state = STATES[number % len(STATES)]
            context = body_context("default", one.message_id, "tiktok", "Order Completed")
            body = sealer.seal(one.deliveries[0].body, context, Packing.PLAIN)
            connection.execute(
                "INSERT INTO events VALUES (?, 'default', ?, 'track', ?, 'planned', ?, ?, ?)",
                (number, one.message_id, at, None, None, None),
            )
            connection.execute(
                "INSERT INTO ledger VALUES (?, 'default', ?, ?)", (one.message_id, at, number)
            )
            connection.execute(
                "INSERT INTO deliveries VALUES (?, ?, 1, 'Order Completed', 'CompletePayment', "
                "'id', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    number, number, at, state, 3, 7,
                    at if state in {"pending", "claimed"} else None,
                    at if state == "claimed" else None,
                    None, at, "busy", None if state == "delivered" else body,
                ),
            )  # fmt: skip
    connection.close()


async def expect_everything(path: Path) -> None:
    """What stood in the first release's database stands in this one, and works."""
    each = BACKLOG // len(STATES)
    store = await open_store(path, Sealer([KEY]))
    totals = await store.totals()
    assert totals.events == {Disposition.PLANNED: BACKLOG}
    assert totals.deliveries == {
        ("tiktok", State.PENDING): 2 * each,  # the claims of a process that is gone are released
        ("tiktok", State.DELIVERED): each,
        ("tiktok", State.DEAD): each,
        ("tiktok", State.UNCERTAIN): each,
    }
    copies = [event(f"m{number}") for number in range(1, BACKLOG + 1)]
    assert await store.append([*copies, event("new")]) == Receipt((False,) * BACKLOG + (True,))
    claims = await store.claim("tiktok", 1_000, LEASE, NOW)
    assert len(claims) == 2 * each + 1
    for claim in claims:
        assert orjson.loads(claim.body) == {"event_id": claim.message_id}
        old = claim.message_id != "new"
        assert (claim.fence, claim.attempts) == ((8, 4) if old else (1, 1))
    assert await store.settle([delivered(claim) for claim in claims], NOW) == len(claims)
    assert {one.reason for one in await store.deliveries(["m3", "m4"])} == {"busy"}
    await store.close()


async def test_a_backlog_of_the_first_release_goes_on(path: Path) -> None:
    first_release(path)
    await expect_everything(path)


async def test_what_an_earlier_release_kept_has_no_known_value(path: Path) -> None:
    first_release(path)
    store = await open_store(path, Sealer([KEY]))
    await store.append([event("new")])
    found = await store.history.outcomes(NOW - LEASE, NOW + LEASE, [LEASE])
    assert sum(one.unvalued for one in found) == BACKLOG
    assert sum(one.count for one in found) == BACKLOG + 1
    await store.close()


@pytest.mark.parametrize("version", [one.version for one in migrations()[1:]])
async def test_a_kill_in_the_middle_of_a_migration_harms_nothing(path: Path, version: int) -> None:
    first_release(path)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HANGING, str(path), str(version),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    assert await child.stdout.readline() == b"inside\n"
    child.kill()
    await child.communicate()
    connection = apsw.Connection(str(path))
    assert connection.pragma("user_version") == version - 1
    connection.close()
    await expect_everything(path)


async def test_a_kill_while_the_database_is_made_harms_nothing(path: Path) -> None:
    path.parent.mkdir(parents=True)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HANGING, str(path), "1",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    assert await child.stdout.readline() == b"inside\n"
    child.kill()
    await child.communicate()
    store = await open_store(path, Sealer([KEY]))
    assert (await store.append([event("a")])).accepted == 1
    await store.close()
