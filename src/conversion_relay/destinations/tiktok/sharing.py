"""What of an event TikTok gets: the owner's settings, applied to the element last of all.

They act on what would go over the wire, wherever it came from: left out, hashed, cut short, or
marked for limited use. Knows neither how an element is made nor where the settings are written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

from conversion_relay.core.destination import FieldProblem
from conversion_relay.core.event import SegmentEvent
from conversion_relay.core.values import MISSING, Json, JsonObject, Path, Value, number_text
from conversion_relay.destinations.tiktok.addresses import Stripping, truncated
from conversion_relay.destinations.tiktok.normalise import hashed
from conversion_relay.destinations.tiktok.region import region_of

_Change: TypeAlias = Callable[[Json], Value]
"""What becomes of a value; MISSING: it goes."""
_ALWAYS_THERE: Final = ("user", "properties")
"""TikTok expects these objects; without their parts they are empty."""
_URLS: Final = ("page.url", "page.referrer")
_CLICK: Final = "ttclid"
_SHA256: Final = hashed(str)


class LimitedDataUse(Enum):
    """When TikTok is asked to process an event only within limits."""

    AS_MAPPED = "as_mapped"
    ALWAYS = "always"
    BY_REGION = "by_region"


@dataclass(frozen=True, slots=True)
class Sharing:
    """What is set for a destination; as nothing is set, all that was mapped is shared.

    Attributes:
        leave_out: paths in the element, such as `user.email`.
        hash: the same; their texts are sent as SHA-256 only.
        strip_url_parameters: names of parameters that no URL shall carry.
        truncate_ip: of the visitor's address only the network is sent.
        limited_data_use: see LimitedDataUse; never takes back what was mapped.
        limited_data_use_regions: codes such as "DE" or "US-CA".
        limited_data_use_when_unknown: whether it is asked for where the region is not known.
    """

    leave_out: tuple[str, ...] = ()
    hash: tuple[str, ...] = ()
    strip_url_parameters: tuple[str, ...] = ()
    truncate_ip: bool = False
    limited_data_use: LimitedDataUse = LimitedDataUse.AS_MAPPED
    limited_data_use_regions: tuple[str, ...] = ()
    limited_data_use_when_unknown: bool = True


EVERYTHING_MAPPED: Final = Sharing()


@dataclass(frozen=True, slots=True)
class _Step:
    path: Path
    change: _Change
    reason: str

    @property
    def field(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class Sharer:
    """Applies the settings to elements."""

    settings: Sharing
    _steps: tuple[_Step, ...] = field(init=False, repr=False)
    _regions: tuple[str, ...] = field(init=False, repr=False)
    _is_idle: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_steps", tuple(_steps(self.settings)))
        regions = tuple(one.upper() for one in self.settings.limited_data_use_regions)
        object.__setattr__(self, "_regions", regions)
        object.__setattr__(self, "_is_idle", self.settings == EVERYTHING_MAPPED)

    def share(
        self, element: JsonObject, payload: JsonObject, event: SegmentEvent
    ) -> tuple[JsonObject, tuple[FieldProblem, ...]]:
        """What of the element is shared, and what was done to it; it is not changed itself.

        Args:
            element: complete.
            payload: of which it was made; it tells where the visitor lives.
            event: where it came from.
        """
        if self._is_idle:
            return element, ()
        shared, notes = self._limited(element, payload, event)
        for step in self._steps:
            changed = _changed(shared, step.path, step.change)
            if isinstance(changed, dict) and changed != shared:
                shared = changed
                notes.append(FieldProblem(step.field, step.reason))
        kept = (key for key in element if key in shared or key in _ALWAYS_THERE)
        return {key: shared.get(key, {}) for key in kept}, tuple(notes)

    def _limited(
        self, element: JsonObject, payload: JsonObject, event: SegmentEvent
    ) -> tuple[JsonObject, list[FieldProblem]]:
        is_limited = element.get("limited_data_use") is True
        reason = None if is_limited else self._why_limited(payload, event)
        if reason is None:
            return dict(element), []
        note = FieldProblem("limited_data_use", f"is true: {reason}")
        return {**element, "limited_data_use": True}, [note]

    def _why_limited(self, payload: JsonObject, event: SegmentEvent) -> str | None:
        if self.settings.limited_data_use is LimitedDataUse.ALWAYS:
            return "sharing.limited_data_use is always"
        if self.settings.limited_data_use is LimitedDataUse.AS_MAPPED:
            return None
        region = region_of(payload, event)
        answers = {None} if region is None else {region.lies_in(code) for code in self._regions}
        if True in answers:
            return "the visitor's region is one of sharing.limited_data_use_regions"
        if None in answers and self.settings.limited_data_use_when_unknown:
            return "the visitor's region is not known"
        return None


def _steps(settings: Sharing) -> Iterator[_Step]:
    if settings.truncate_ip:
        yield _Step(("user", "ip"), _truncated, "is cut to its network (sharing.truncate_ip)")
    names = (*settings.strip_url_parameters, *_implied(settings.leave_out))
    if names:
        stripping = Stripping.of(names)
        for url in _URLS:
            reason = "is without what is not shared (sharing.strip_url_parameters)"
            yield _Step(_path(url), _texts(stripping.strip), reason)
    for name in settings.hash:
        yield _Step(_path(name), _texts(_SHA256), "is a hash (sharing.hash)")
    for name in settings.leave_out:
        yield _Step(_path(name), _nothing, "is left out (sharing.leave_out)")


def _implied(left_out: tuple[str, ...]) -> tuple[str, ...]:
    """TikTok reads the click id from the page's URL as well."""
    return (_CLICK,) if {"user", f"user.{_CLICK}"} & set(left_out) else ()


def _path(name: str) -> Path:
    return tuple(name.split("."))


def _changed(value: Json, path: Path, change: _Change) -> Value:
    """The value with something else at the path, in every item of a list; emptied parts go."""
    if not path:
        return change(value)
    if isinstance(value, list):
        items = [_changed(item, path, change) for item in value]
        return [item for item in items if item is not MISSING] or MISSING
    if not isinstance(value, dict) or path[0] not in value:
        return value
    inner = _changed(value[path[0]], path[1:], change)
    if inner is not MISSING:
        return {**value, path[0]: inner}
    return {key: one for key, one in value.items() if key != path[0]} or MISSING


def _texts(form: Callable[[str], str | None]) -> _Change:
    """Changes a text or number, or each of a list of them; what has no such form goes."""

    def change(value: Json) -> Value:
        if isinstance(value, list):
            items = [change(item) for item in value]
            return [item for item in items if item is not MISSING] or MISSING
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = number_text(value)
        return (form(value) or MISSING) if isinstance(value, str) else MISSING

    return change


def _truncated(value: Json) -> Value:
    return truncated(value) if isinstance(value, str) else MISSING


def _nothing(_: Json) -> Value:
    return MISSING
