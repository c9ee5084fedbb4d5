"""The directives of the mapping language: one row each.

A row makes, from what stands behind the directive's name, a resolver that gives the value for a
payload. What it cannot understand it reports at its place. Behaviour follows Segment's published
mapping kit (npm @segment/actions-core, read 2026-11-21); docs/parity.md lists where it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from conversion_relay.core.mapping.choosing import compile_exclude_when_null, compile_if
from conversion_relay.core.mapping.liquid import compile_liquid
from conversion_relay.core.mapping.place import Place, Resolver
from conversion_relay.core.mapping.reading import (
    compile_literal,
    compile_path,
    compile_template,
)
from conversion_relay.core.mapping.restructuring import (
    compile_array_path,
    compile_flatten,
    compile_merge,
    compile_transform,
)
from conversion_relay.core.mapping.rewriting import compile_case, compile_json, compile_replace
from conversion_relay.core.values import Json

Directive: TypeAlias = Callable[[Json, Place], Resolver]

DIRECTIVES: Final[Mapping[str, Directive]] = MappingProxyType(
    {
        "@path": compile_path,
        "@template": compile_template,
        "@literal": compile_literal,
        "@if": compile_if,
        "@arrayPath": compile_array_path,
        "@case": compile_case,
        "@replace": compile_replace,
        "@merge": compile_merge,
        "@transform": compile_transform,
        "@flatten": compile_flatten,
        "@json": compile_json,
        "@excludeWhenNull": compile_exclude_when_null,
        "@liquid": compile_liquid,
    }
)
