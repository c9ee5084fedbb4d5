"""What makes the service under test a node over a PostgreSQL of the suite."""

from __future__ import annotations

import base64


def over(url: str, **changes: str) -> dict[str, str]:
    """The variables beside the usual ones; the suite's server is not durable."""
    return {
        "RELAY_DATABASE_URL": url,
        "RELAY_ENCRYPTION_KEY": base64.b64encode(b"k" * 32).decode(),
        "RELAY_WEAK_DURABILITY": "true",
    } | changes
