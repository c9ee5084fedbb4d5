"""Filters that write dates, as liquidjs has them; "now" is when Segment received the event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from conversion_relay.core.mapping.liquid.arguments import Arguments, LiquidFilter, unusable
from conversion_relay.core.mapping.liquid.moments import (
    Moment,
    read_moment,
    widest,
    write_moment,
)
from conversion_relay.core.mapping.liquid.words import liquid_text, whole
from conversion_relay.core.values import MISSING, Value

_USUAL_FORM = "%A, %B %-e, %Y at %-l:%M %P %z"


def _date(value: Value, arguments: Arguments) -> Value:
    form = arguments.at(0)
    usual = form is MISSING or form is None
    zone = arguments.at(1)
    if isinstance(zone, str):
        raise unusable("date takes the zone as minutes behind UTC, names of zones are not known")
    offset = None if zone is MISSING or zone is None else -whole(zone)
    return _written(value, _USUAL_FORM if usual else liquid_text(form), arguments, offset)


def _written(value: Value, form: str, arguments: Arguments, offset: int | None = None) -> Value:
    instant = read_moment(_received_at(arguments) if value in ("now", "today") else value)
    if instant is None:
        return value
    arguments.budget.spend(widest(form))
    try:
        return write_moment(Moment(instant, offset), form)
    except OverflowError:
        return value


def _received_at(arguments: Arguments) -> Value:
    received = arguments.event.get("receivedAt")
    if read_moment(received) is None:
        raise unusable('"now" is when the event was received, and this event has no receivedAt')
    return received


def _in_form(form: str) -> LiquidFilter:
    return lambda value, arguments: _written(value, form, arguments)


def _as_sentence(month: str) -> LiquidFilter:
    def apply(value: Value, arguments: Arguments) -> Value:
        if arguments.at(0) != "ordinal":
            form = f"%d {month} %Y"
        elif arguments.at(1) == "US":
            form = f"{month} %-d%q, %Y"
        else:
            form = f"%-d%q {month} %Y"
        return _written(value, form, arguments)

    return apply


DATE_FILTERS: Final[Mapping[str, LiquidFilter]] = {
    "date": _date,
    "date_to_xmlschema": _in_form("%Y-%m-%dT%H:%M:%S%:z"),
    "date_to_rfc822": _in_form("%a, %d %b %Y %H:%M:%S %z"),
    "date_to_string": _as_sentence("%b"),
    "date_to_long_string": _as_sentence("%B"),
}
