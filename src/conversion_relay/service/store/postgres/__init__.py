"""The store of several nodes: PostgreSQL."""

from conversion_relay.service.store.postgres.arriving import Arriving, open_target
from conversion_relay.service.store.postgres.opening import open_store
from conversion_relay.service.store.postgres.pools import Address

__all__ = ["Address", "Arriving", "open_store", "open_target"]
