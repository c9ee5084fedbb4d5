"""The secrets of a TOML file: it says where they are found, `"env:NAME"` or `"file:PATH"`.

A secret that stands in the file itself is refused, unread. Checks nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from conversion_relay.core.values import Json, JsonObject
from conversion_relay.errors import ConfigurationError
from conversion_relay.service.environment import secret_in, value_of
from conversion_relay.service.settings import GROUPS, NAMED
from conversion_relay.service.settings.database import SQLITE_URL
from conversion_relay.service.settings.kinds import PLACEHOLDER
from conversion_relay.service.toml_lines import Place

SECRETS: Final = frozenset(
    {
        "access_token",
        "signing_secrets",
        "bearer_tokens",
        "write_keys",
        "admin_token",
        "encryption_key",
        "database_password",
        "proxy_url",
        "read_tokens",
        "slack_urls",
        "webhook_urls",
        "webhook_secret",
        "smtp_url",
    }
)
_PATHS: Final = {"mappings": "", "presets_folder": "", "spool": "", "database_url": SQLITE_URL}
"""The settings with a path, and what stands in front of it."""
_NAME: Final = re.compile(r"[A-Z_][A-Z0-9_]*")
"""How variables are usually called. What is not, may be a secret in the wrong place."""
_LITERAL: Final = (
    'must say where the secret is found: "env:NAME" or "file:PATH"; secrets do not belong in the '
    "file"
)
_UNSET: Final = "names the environment variable {}, which is not set"
_UNLIKE: Final = (
    'names an environment variable that is not set; "env:" takes the NAME of one, in capitals, '
    "and not the secret"
)


@dataclass(frozen=True, slots=True)
class References:
    """Puts secrets in the place of their references, and paths as they are from here.

    Attributes:
        folder: of the file; relative paths begin there.
        environment: the process's variables.
        needed: the secrets themselves; otherwise placeholders are as good.
        found: the references, by their place.
        problems: sentences about references that lead nowhere, by their place.
    """

    folder: Path
    environment: Mapping[str, str]
    needed: bool
    found: dict[Place, str] = field(default_factory=dict)
    problems: dict[Place, str] = field(default_factory=dict)

    def resolve(self, tree: JsonObject) -> None:
        """Changes the tree; where a reference leads nowhere, a placeholder stands."""
        for place, table in tables(tree):
            for key in SECRETS & table.keys():
                value = table[key]
                if isinstance(value, list):
                    items = enumerate(value)
                    table[key] = [self._secret((*place, key, n), item) for n, item in items]
                else:
                    table[key] = self._secret((*place, key), value)
            for key, scheme in _PATHS.items():
                value = table.get(key)
                if isinstance(value, str) and value.startswith(scheme):
                    path = value.removeprefix(scheme)
                    table[key] = (
                        f"{scheme}{self.folder / path}" if path.strip() == path != "" else value
                    )

    def _secret(self, place: Place, reference: Json) -> str:
        kind, name = _parts(reference)
        self.found[place] = f"{kind}:{name}" if kind else ""
        if not kind:
            self.problems[place] = _LITERAL
        if not kind or not self.needed:
            return PLACEHOLDER
        try:
            if kind == "file":
                return secret_in(self.folder / name)
            value = value_of(name, self.environment)
        except ConfigurationError as error:
            self.problems[place] = str(error)
            return PLACEHOLDER
        if value is None:
            self.problems[place] = _UNSET.format(name) if _NAME.fullmatch(name) else _UNLIKE
            return PLACEHOLDER
        return value


def _parts(reference: Json) -> tuple[str, str]:
    """Kind and name of a reference; empty when it is none."""
    kind, _, name = reference.partition(":") if isinstance(reference, str) else ("", "", "")
    return (kind, name) if kind in {"env", "file"} and name else ("", "")


def tables(tree: JsonObject) -> Iterator[tuple[Place, JsonObject]]:
    """The tables of settings that may hold secrets, with their places."""
    for group in GROUPS:
        inside = tree.get(group)
        if not isinstance(inside, dict):
            continue
        if group not in NAMED:
            yield (group,), inside
            continue
        for name, table in inside.items():
            if isinstance(table, dict):
                yield (group, name), table
