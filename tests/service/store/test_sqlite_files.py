"""The files of the embedded store: where they may stand, and that they stay where they are."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from conversion_relay.errors import ConfigurationError, RelayError, StoreUnavailable
from conversion_relay.service.place import unusable
from conversion_relay.service.sealing import Sealer, load_or_create_keys
from conversion_relay.service.store.sqlite import SqliteStore, open_store
from service.store.conftest import KEY
from service.store.examples import LEASE, NOW, delivered, event

NOBODY = 65_534
FILES = ["relay.db", "relay.db-wal", "relay.db.lock"]
OPENER = """
import asyncio, sys
from pathlib import Path
from conversion_relay.errors import ConfigurationError
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.sqlite import open_store

try:
    asyncio.run(open_store(Path(sys.argv[1]), Sealer([bytes(range(32))])))
except ConfigurationError as error:
    sys.exit(str(error))
"""


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    """An open store with one event."""
    store = await open_store(path, Sealer([KEY]))
    await store.append([event("before")])
    yield store
    with suppress(StoreUnavailable):
        await store.close()


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def move(path: Path, to: str) -> None:
    path.rename(path.with_name(to))


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


@contextmanager
def unprivileged(*closed: str) -> Iterator[Path]:
    """No right to write in this folder; or in these files in it, when some are named."""
    is_root = os.getuid() == 0
    with TemporaryDirectory() as name:
        folder = Path(name)
        for file in closed:
            put(folder / file, b"")
            (folder / file).chmod(0o444)
        folder.chmod(0o777 if closed else 0o555)
        if is_root:
            os.setresuid(NOBODY, NOBODY, 0)
        try:
            yield folder
        finally:
            if is_root:
                os.setresuid(0, 0, 0)
            folder.chmod(0o755)


@pytest.mark.parametrize("name", FILES)
async def test_nothing_is_acknowledged_once_a_file_is_gone(
    path: Path, store: SqliteStore, name: str
) -> None:
    claims = await store.claim("tiktok", 1, LEASE, NOW)
    path.with_name(name).unlink()
    for attempt in (
        store.append([event("a")]),
        store.claim("tiktok", 1, LEASE, NOW),
        store.settle([delivered(claims[0])], NOW),
    ):
        with pytest.raises(StoreUnavailable, match=rf"{name} was replaced or removed"):
            await attempt
    assert "replaced or removed" in str(store.trouble())


@pytest.mark.parametrize("name", FILES)
async def test_nothing_is_acknowledged_once_a_file_is_another(
    path: Path, store: SqliteStore, name: str
) -> None:
    shutil.copy(path.with_name(name), path.with_name("copy"))
    move(path.with_name("copy"), name)
    with pytest.raises(StoreUnavailable, match="stop it, put back"):
        await store.append([event("a")])


async def test_a_file_that_comes_back_is_written_again(path: Path, store: SqliteStore) -> None:
    move(path, "aside")
    with pytest.raises(StoreUnavailable):
        await store.append([event("a")])
    move(path.with_name("aside"), path.name)
    assert (await store.append([event("a")])).accepted == 1
    assert store.trouble() is None


async def test_the_log_of_another_database_outlives_the_end(
    path: Path, store: SqliteStore
) -> None:
    log = path.with_name("relay.db-wal")
    log.unlink()
    log.write_bytes(b"the log of a database that was put here meanwhile")
    with pytest.raises(StoreUnavailable, match=r"relay\.db-wal was replaced"):
        await store.close()
    assert log.read_bytes().startswith(b"the log of a database")


async def test_a_second_owner_is_refused_even_without_the_lock_file(
    path: Path, store: SqliteStore
) -> None:
    path.with_name("relay.db.lock").unlink()
    second = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OPENER, str(path), stderr=subprocess.PIPE
    )
    _, said = await second.communicate()
    assert second.returncode == 1
    assert b"already uses the database" in said
    assert store.load.waiting_events == 0


async def test_the_lock_on_the_database_does_not_shut_out_its_readers(
    path: Path, store: SqliteStore
) -> None:
    """An operator may look into it with SQLite's own program."""
    script = "import apsw, sys; print(apsw.Connection(sys.argv[1]).pragma('quick_check'))"
    reader = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(path), stdout=subprocess.PIPE
    )
    assert (await reader.communicate())[0] == b"ok\n"
    assert (await store.append([event("a")])).accepted == 1


async def test_sqlites_own_locks_hold_while_the_store_is_open(
    path: Path, store: SqliteStore
) -> None:
    """Closing any descriptor of the file would have dropped them."""
    script = (
        "import apsw, sys; c = apsw.Connection(sys.argv[1]);"
        "c.pragma('locking_mode', 'exclusive'); c.pragma('journal_mode', 'delete')"
    )
    intruder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(path), stderr=subprocess.PIPE
    )
    assert b"BusyError" in (await intruder.communicate())[1]
    assert (await store.append([event("a")])).accepted == 1


@pytest.mark.parametrize("left", [None, b""])
async def test_a_log_without_its_database_is_not_thrown_away(
    path: Path, left: bytes | None
) -> None:
    log = path.with_name("relay.db-wal")
    put(log, b"acknowledged events")
    if left is not None:
        put(path, left)
    before = names(path.parent)
    with pytest.raises(ConfigurationError, match="put the database back beside its log") as error:
        await open_store(path, Sealer([KEY]))
    assert str(path) in str(error.value)
    with pytest.raises(ConfigurationError, match="nothing was changed"):
        load_or_create_keys(None, path)
    assert log.read_bytes() == b"acknowledged events"
    assert names(path.parent) == before


async def test_a_log_is_found_through_a_link(tmp_path: Path) -> None:
    put(tmp_path / "data" / "relay.db", b"")
    put(tmp_path / "data" / "relay.db-wal", b"acknowledged events")
    (tmp_path / "link.db").symlink_to(tmp_path / "data" / "relay.db")
    with pytest.raises(ConfigurationError, match=r"data/relay\.db-wal is here"):
        await open_store(tmp_path / "link.db", Sealer([KEY]))


async def test_a_linked_database_works_and_has_one_owner(path: Path, store: SqliteStore) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path)
    with pytest.raises(ConfigurationError, match="already uses"):
        await open_store(link, Sealer([KEY]))
    await store.close()
    store = await open_store(link, Sealer([KEY]))
    assert (await store.append([event("before"), event("a")])).fresh == (False, True)
    await store.close()


async def refusal(path: Path) -> str:
    """What both that need the place say of it."""
    with pytest.raises(ConfigurationError) as no_key:
        load_or_create_keys(None, path)
    with pytest.raises(ConfigurationError) as no_store:
        await open_store(path, Sealer([KEY]))
    assert str(no_key.value) == str(no_store.value)
    return str(no_store.value)


@pytest.mark.parametrize(
    ("number", "refused"),
    [
        (errno.ENOSPC, StoreUnavailable),
        (errno.EDQUOT, StoreUnavailable),
        (errno.EROFS, StoreUnavailable),
        (errno.EIO, StoreUnavailable),
        (errno.EACCES, ConfigurationError),
        (errno.ENAMETOOLONG, ConfigurationError),
    ],
)
def test_a_disk_in_trouble_is_no_wrong_configuration(
    number: int, refused: type[RelayError]
) -> None:
    error = unusable("the database relay.db", OSError(number, os.strerror(number)))
    assert type(error) is refused
    assert str(error) == f"the database relay.db cannot be used: {os.strerror(number)}"


async def test_a_folder_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "relay.db").mkdir()
    said = await refusal(tmp_path / "relay.db")
    assert said.startswith(
        f"the database {tmp_path / 'relay.db'} cannot be used: this is a folder"
    )
    assert names(tmp_path) == {"relay.db"}


@pytest.mark.parametrize("path", [Path("/dev/null"), Path("/"), Path()])
async def test_what_is_no_file_is_no_database(path: Path) -> None:
    said = await refusal(path)
    assert f"the database {path} cannot be used: this is a folder or a device" in said
    assert not {name for name in names(Path("/dev")) if name.startswith("null.")}


async def test_a_file_in_the_way_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    said = await refusal(tmp_path / "file" / "sub" / "relay.db")
    assert f"{tmp_path / 'file'} is no folder" in said


async def test_a_folder_that_cannot_be_written_is_refused() -> None:
    with unprivileged() as folder:
        said = await refusal(folder / "new" / "relay.db")
        assert f"may not write in the folder {folder}" in said
        assert names(folder) == set()


async def test_a_file_that_cannot_be_written_is_refused() -> None:
    with unprivileged("relay.db") as folder:
        said = await refusal(folder / "relay.db")
        assert "may not read and write the file" in said
        assert names(folder) == {"relay.db"}
