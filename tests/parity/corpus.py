"""The parity corpus: cases as data, and the one form in which two answers are compared.

A case is one line of `cases/*.ndjson`. It says what is asked (an event through presets, a mapping,
or a trigger), what Segment's published code answered (`expected`) and, where this project answers
otherwise on purpose, why (`difference`, a row of differences.json) and what instead (`ours`).
Knows nothing of the code under test and nothing of how the published code is run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast

from conversion_relay.core.values import Json, JsonObject

HERE = Path(__file__).resolve().parent
CASES = HERE / "cases"
PRESETS = HERE.parents[1] / "presets"
CURRENT = "tiktok-conversions-current"
LEFT_OUT = "(left out)"

_EMPTY: tuple[Json, ...] = ("", [], {}, None)


@dataclass(frozen=True, slots=True)
class Case:
    """One line of a case file.

    Attributes:
        theme: the name of its file, without the suffix.
        line: the decoded line.
    """

    theme: str
    line: JsonObject

    @property
    def id(self) -> str:
        """Unique in the whole corpus."""
        return str(self.line["id"])

    @property
    def kind(self) -> str:
        """What is asked: `trigger`, `mapping` or `event`."""
        return next((kind for kind in ("trigger", "mapping") if kind in self.line), "event")

    @property
    def event(self) -> JsonObject:
        """The Segment event."""
        return as_object(self.line["event"])

    @property
    def difference(self) -> str | None:
        """The row of differences.json that explains `ours`, or None where nothing differs."""
        slug = self.line.get("difference")
        return None if slug is None else str(slug)


def read_cases(theme: str | None = None) -> Iterator[Case]:
    """The cases of one theme, or of all in the order of the file names."""
    for path in sorted(CASES.glob(f"{theme or '*'}.ndjson")):
        for text in path.read_text(encoding="utf-8").split("\n"):
            if text:
                yield Case(path.stem, as_object(json.loads(text)))


def read_differences() -> dict[str, JsonObject]:
    """The deliberate differences by slug."""
    text = (HERE / "differences.json").read_text(encoding="utf-8")
    return cast("dict[str, JsonObject]", json.loads(text))


@cache
def read_presets(name: str) -> list[JsonObject]:
    """The subscriptions of a preset file, in Segment's own form."""
    content: Json = json.loads((PRESETS / f"{name}.json").read_text(encoding="utf-8"))
    listed = content if isinstance(content, list) else as_object(content)["presets"]
    return [as_object(item) for item in cast("list[Json]", listed)]


def subscriptions(case: Case) -> list[JsonObject]:
    """What the event goes through: a preset file, or subscriptions written into the case.

    A written subscription may say `like`, the name of a current preset whose mapping lies under
    its own; a key that it maps to null is taken out.
    """
    written = case.line.get("subscriptions")
    if not isinstance(written, list):
        return read_presets(str(case.line.get("presets", CURRENT)))
    return [_expanded(as_object(item)) for item in written]


def _expanded(subscription: JsonObject) -> JsonObject:
    base: JsonObject = {}
    for preset in read_presets(CURRENT) if "like" in subscription else []:
        if preset["name"] == subscription["like"]:
            base = as_object(preset["mapping"])
    merged = base | as_object(subscription["mapping"])
    return {
        "name": subscription["name"],
        "subscribe": subscription["subscribe"],
        "partnerAction": subscription.get("partnerAction", "reportWebEvent"),
        "mapping": {key: value for key, value in merged.items() if value is not None},
    }


def normal_form(value: Json) -> Json:
    """The value without what carries nothing: the one normalisation, done to both sides.

    Empty strings, lists and objects and nulls are removed at every depth, and so is
    `partner_name`.
    """
    if isinstance(value, dict):
        inner = {key: normal_form(item) for key, item in value.items() if key != "partner_name"}
        return {key: item for key, item in inner.items() if not is_empty(item)}
    if isinstance(value, list):
        return [item for item in map(normal_form, value) if not is_empty(item)]
    return value


def is_empty(value: Json) -> bool:
    """Whether it is an empty string, list or object, or null; 0 and false are not."""
    return not isinstance(value, bool | int | float) and value in _EMPTY


def changes(published: Json, ours: Json, path: str = "") -> JsonObject:
    """What stands otherwise in ours, by dotted path; LEFT_OUT where ours has nothing."""
    if isinstance(published, dict) and isinstance(ours, dict):
        found: JsonObject = {}
        for key in sorted(published.keys() | ours.keys()):
            below = f"{path}.{key}" if path else key
            if key not in ours:
                found[below] = LEFT_OUT
            elif key not in published:
                found[below] = ours[key]
            else:
                found |= changes(published[key], ours[key], below)
        return found
    if isinstance(published, list) and isinstance(ours, list) and len(published) == len(ours):
        pairs = enumerate(zip(published, ours, strict=True))
        return {k: v for i, (a, b) in pairs for k, v in changes(a, b, f"{path}.{i}").items()}
    return {} if exact(published) == exact(ours) else {path or "(all)": ours}


def exact(value: Json) -> str:
    """Text by which true and 1 differ, but not 1 and 1.0; the order of keys does not matter.

    Numbers are taken as readers of JSON take them, with the precision of a double and
    one zero.
    """
    return json.dumps(_doubles(value), sort_keys=True, ensure_ascii=False)


def _doubles(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _doubles(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_doubles(item) for item in value]
    return value if value is None or isinstance(value, str | bool) else value + 0.0


def as_object(value: Json | Mapping[str, Json]) -> JsonObject:
    """The value, which must be an object."""
    if not isinstance(value, dict):
        raise TypeError("an object was expected here")
    return value
