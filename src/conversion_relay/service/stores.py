"""Opens what keeps events, by the address in the settings. Part of the composition root.

Knows both engines, and which settings each of them takes.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, TypeAlias

from pydantic import SecretStr

from conversion_relay.errors import ConfigurationError
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.place import beside, holds_data
from conversion_relay.service.sealing import Sealer, keys_of, load_or_create_keys
from conversion_relay.service.settings import ServiceSettings
from conversion_relay.service.settings.database import SQLITE_URL
from conversion_relay.service.spool.spool import open_spool
from conversion_relay.service.spool.spooling import SpoolingStore
from conversion_relay.service.store.history import VersionRecord
from conversion_relay.service.store.port import Store
from conversion_relay.service.store.postgres import Address, Arriving, open_target
from conversion_relay.service.store.postgres import open_store as open_postgres
from conversion_relay.service.store.sqlite import Leaving, open_origin, require_free
from conversion_relay.service.store.sqlite import open_store as open_sqlite
from conversion_relay.service.surroundings import Surroundings

OpenStore: TypeAlias = Callable[[ServiceSettings, datetime, Metrics], Awaitable[Store]]
_LONGEST_HOST: Final = 40


async def keep_in_database(
    settings: ServiceSettings, present: datetime, metrics: Metrics
) -> Store:
    """The store that the settings name.

    Raises:
        RelayError: it cannot be used.
    """
    scheme = settings.database_url.partition(":")[0]
    return await _ENGINES[scheme](settings, present, metrics)


async def newest_kept(settings: ServiceSettings, present: datetime) -> VersionRecord | None:
    """The configuration that was kept last in this database; None: there is none.

    Raises:
        RelayError: the database cannot be used.
    """
    path = settings.database_path
    if path is not None and not holds_data(path):
        return None
    store = await keep_in_database(settings, present, Metrics())
    try:
        return next(iter(await store.history.versions(1)), None)
    finally:
        await store.close()


async def with_spool(store: Store, settings: ServiceSettings, around: Surroundings) -> Store:
    """The store, with what stands in for it where the settings say so; closing it closes both.

    Raises:
        RelayError: the spool cannot be used; the store is closed then.
    """
    if settings.spool is None:
        return store
    try:
        sealer = Sealer(keys_of(_plain(settings.encryption_key) or ""))
        spool = await open_spool(settings.spool, sealer, settings.spool_bytes)
    except BaseException:
        await store.close()
        raise
    return SpoolingStore(store, spool, around)


def open_old(url: str, settings: ServiceSettings, present: datetime) -> Leaving:
    """An embedded database that moves elsewhere; the caller closes it.

    Its key stands beside it, or is the one of the settings.

    Raises:
        ConfigurationError: there is none at this address, a process has it, or its key is not at
            hand.
        StoreUnavailable: it cannot be read or written.
    """
    path = Path(url.removeprefix(SQLITE_URL))
    if not url.startswith(SQLITE_URL) or not holds_data(path):
        raise ConfigurationError(f"there is no embedded database at {url}; it is sqlite:///PATH")
    require_free(path)
    keys = keys_of(_plain(settings.encryption_key) or "") if settings.encryption_key else ()
    if not keys or beside(path, ".key").exists():
        keys = (*load_or_create_keys(None, path), *keys)
    return open_origin(path, Sealer(keys), present)


async def open_new(settings: ServiceSettings) -> Arriving:
    """The database of the settings, for moving into it; the caller closes it.

    Raises:
        ConfigurationError: it is none for several nodes, or cannot be used.
        StoreUnavailable: it does not answer.
    """
    if settings.database_path is not None:
        raise ConfigurationError(
            f"a move goes to postgresql://, and {settings.database_url} is none"
        )
    sealer = Sealer(keys_of(_plain(settings.encryption_key) or ""))
    return await open_target(_address(settings), sealer, settings.database_url)


def require_kept(settings: ServiceSettings) -> None:
    """Refuse an embedded database that is not there: a command would make an empty one.

    Raises:
        ConfigurationError: saying where it was looked for.
    """
    path = settings.database_path
    if path is not None and not holds_data(path):
        raise ConfigurationError(
            f"there is no database at {path.absolute()}, so nothing was kept there yet: "
            "run this with the RELAY_DATABASE_URL of the service"
        )


def new_node_name() -> str:
    """What a node is called that nobody named; no other is called so."""
    host = socket.gethostname()[:_LONGEST_HOST]
    return f"{host}-{os.getpid()}-{secrets.token_hex(2)}"


async def _embedded(settings: ServiceSettings, present: datetime, metrics: Metrics) -> Store:
    """The store on this machine's disk, which counts how long its commits take."""
    path = settings.database_path
    if path is None:
        raise ConfigurationError("this is no address of an embedded database")
    require_free(path)
    keys = load_or_create_keys(_plain(settings.encryption_key), path)
    observe = metrics.commit_seconds.observe
    return await open_sqlite(path, Sealer(keys), now=present, commit_seconds=observe)


async def _shared(settings: ServiceSettings, _: datetime, metrics: Metrics) -> Store:
    """The store of several nodes, which counts how long its commits take."""
    sealer = Sealer(keys_of(_plain(settings.encryption_key) or ""))
    node = settings.node_name or new_node_name()
    observe = metrics.commit_seconds.observe
    return await open_postgres(_address(settings), sealer, node, commit_seconds=observe)


def _address(settings: ServiceSettings) -> Address:
    return Address(
        settings.database_url,
        _plain(settings.database_password),
        settings.database_connections,
        settings.weak_durability,
        settings.database_pooler,
    )


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


_ENGINES: Final[Mapping[str, OpenStore]] = {
    "sqlite": _embedded,
    "postgresql": _shared,
    "postgres": _shared,
}
"""By the scheme of the address."""
