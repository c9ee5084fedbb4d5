"""Named queries and numbered migrations, as they stand in `.sql` files. Knows no engine.

`-- name: x` begins a query, which ends with its semicolon; other comments stay in place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Migration:
    """One script: what it makes of a database of the version before."""

    version: int
    script: str


def read_queries(package: str, names: Iterable[str]) -> Mapping[str, str]:
    """The queries of these files of the package, by their names."""
    folder = resources.files(package)
    text = "".join(folder.joinpath(name).read_text("utf-8") for name in names)
    _, *parts = _NAME.split(text)
    bodies = (body.strip().removesuffix(";") for body in parts[1::2])
    return MappingProxyType(dict(zip(parts[::2], bodies, strict=True)))


def read_migrations(package: str) -> tuple[Migration, ...]:
    """The scripts in the folder `migrations` of the package, in order."""
    folder = resources.files(package).joinpath("migrations")
    scripts = [file for file in folder.iterdir() if file.name.endswith(".sql")]
    return tuple(
        Migration(int(file.name.partition("_")[0]), file.read_text("utf-8"))
        for file in sorted(scripts, key=lambda file: file.name)
    )
