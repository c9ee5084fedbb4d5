"""A configuration while it is being read: the file's settings, then those of variables over them.

Each place remembers where its value came from, so that problems are called as the operator calls
them. Checks nothing of the values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from conversion_relay.core.values import Json, JsonObject
from conversion_relay.errors import ConfigurationError
from conversion_relay.service.complaints import Complaint, Origin
from conversion_relay.service.environment import Variable, value_of
from conversion_relay.service.references import SECRETS, References
from conversion_relay.service.settings.database import PASSWORD, URL, separated
from conversion_relay.service.settings.kinds import PLACEHOLDER
from conversion_relay.service.toml_file import read_toml
from conversion_relay.service.toml_lines import Place

_URL_PLACE: Final = ("service", URL)
_PASSWORD_PLACE: Final = ("service", PASSWORD)
_INSIDE_THE_URL: Final = "env:RELAY_DATABASE_URL"
_TWO_PASSWORDS: Final = "is set, and RELAY_DATABASE_URL holds a password too; keep one of them"


class Draft:
    """What there is of a configuration.

    Attributes:
        tree: the settings.
        origin: calls them by their names.
        references: where each secret comes from.
        problems: of reading.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.tree: JsonObject = {}
        self._environment = environment
        self.origin = Origin()
        self.references: dict[Place, str] = {}
        self.problems: list[Complaint] = []
        self._variables: dict[Place, str] = {}

    def read(self, path: Path, *, needed: bool) -> None:
        """The file, with the secrets that it refers to."""
        self.tree, lines = read_toml(path)
        self.origin = Origin(str(path), lines, self._variables)
        self._resolve(References(path.parent, self._environment, needed=needed))

    def take(self, tree: JsonObject, name: str) -> None:
        """What was kept of a configuration, with the secrets that it refers to."""
        self.tree = tree
        self.origin = Origin(name, None, self._variables)
        self._resolve(References(Path(), self._environment, needed=True))

    def _resolve(self, references: References) -> None:
        references.resolve(self.tree)
        self.references.update(references.found)
        self.problems += [self.origin.problem(*one) for one in references.problems.items()]

    def fill(self, variables: Iterable[Variable]) -> None:
        """The values of these variables."""
        for variable in variables:
            try:
                value = value_of(variable.name, self._environment)
            except ConfigurationError as error:
                self.problems.append(Complaint(f"- {error}"))
                value = (
                    None if variable.target[-1] not in {*SECRETS, "pixel_code"} else PLACEHOLDER
                )
            if value is not None:
                self._take(variable, value)

    def _take(self, variable: Variable, value: str) -> None:
        """The value; a password inside an address becomes a secret of its own at once."""
        inside = self.references.get(_PASSWORD_PLACE) == _INSIDE_THE_URL
        if variable.target == _PASSWORD_PLACE and inside:
            self.problems.append(Complaint(f"- {variable.name}: {_TWO_PASSWORDS}"))
        for name, part in separated(variable.target[-1], value).items():
            place = (*variable.target[:-1], name)
            put(self.tree, place, variable.form(part))
            self._variables[place] = variable.name
            if place == _PASSWORD_PLACE != variable.target:
                self.references[place] = _INSIDE_THE_URL
        self._refers(variable)

    def _refers(self, variable: Variable) -> None:
        """Remembers where a secret that a variable holds comes from."""
        target = variable.target
        if target[-1] not in SECRETS:
            return
        for replaced in [one for one in self.references if one[: len(target)] == target]:
            del self.references[replaced]
        file = self._environment.get(f"{variable.name}_FILE")
        place: Place = (*target, 0) if variable.form("") == [""] else target
        self.references[place] = f"file:{file}" if file else f"env:{variable.name}"


def put(tree: JsonObject, target: tuple[str, ...], value: Json, *, keep: bool = False) -> None:
    """Sets the value at the target; `keep` leaves a value that is there already."""
    branch = tree
    for key in target[:-1]:
        below = branch.setdefault(key, {})
        if not isinstance(below, dict):
            return
        branch = below
    if not (keep and target[-1] in branch):
        branch[target[-1]] = value
