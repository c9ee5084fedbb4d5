"""The embedded store: one SQLite file, owned by one process. Knows nothing of other engines."""

from conversion_relay.service.store.embedded.ownership import require_free
from conversion_relay.service.store.sqlite.leaving import Leaving, open_origin
from conversion_relay.service.store.sqlite.opening import open_store
from conversion_relay.service.store.sqlite.store import SqliteStore
from conversion_relay.service.store.sqlite.writer import Limits

__all__ = ["Leaving", "Limits", "SqliteStore", "open_origin", "open_store", "require_free"]
