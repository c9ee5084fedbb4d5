"""The mapping language: from one event to the payload of an action.

A mapping is compiled once, with all its problems found together; resolving it for an event is
plain closures. Knows nothing of triggers, actions or destinations.
"""

from __future__ import annotations

from conversion_relay.core.mapping.compiler import (
    CompiledMapping,
    Resolution,
    compile_mapping,
)
from conversion_relay.errors import MappingError

__all__ = ["CompiledMapping", "MappingError", "Resolution", "compile_mapping"]
