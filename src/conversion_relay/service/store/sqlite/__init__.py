"""The embedded store: one SQLite file, owned by one process. Knows nothing of other engines."""

from conversion_relay.service.store.sqlite.opening import open_store
from conversion_relay.service.store.sqlite.ownership import require_free
from conversion_relay.service.store.sqlite.store import SqliteStore
from conversion_relay.service.store.sqlite.writer import Limits

__all__ = ["Limits", "SqliteStore", "open_store", "require_free"]
