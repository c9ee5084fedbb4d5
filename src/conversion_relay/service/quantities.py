"""Money, durations, moments and counts as people read them. Knows no language but English."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

_MICROS: Final = 1_000_000
_USUAL_DECIMALS: Final = 2
_DECIMALS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX"), 0),
    **dict.fromkeys(("BIF", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
"""Of currencies whose smallest unit is not a hundredth. Source: ISO 4217, list one."""
_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


def money(micros: int, currency: str) -> str:
    """An amount such as "1,240.50 EUR", with as many decimals as its currency has."""
    unit = Decimal(1).scaleb(-_DECIMALS.get(currency, _USUAL_DECIMALS))
    amount = (Decimal(micros) / _MICROS).quantize(unit, ROUND_HALF_EVEN)
    return f"{amount:,} {currency}"


def amounts(micros_by_currency: Mapping[str, int]) -> str:
    """Several amounts in a row, by currency, never added up; "" when there is none."""
    return listed(
        [money(micros, currency) for currency, micros in sorted(micros_by_currency.items())]
    )


def duration(time: timedelta) -> str:
    """A time such as "45 s", "12 min", "2 h 05 min" or "3 d 4 h"; below zero is none."""
    if time < _MINUTE:
        return f"{max(0, int(time.total_seconds()))} s"
    if time < _HOUR:
        return f"{time // _MINUTE} min"
    if time < _DAY:
        return f"{time // _HOUR} h {time % _HOUR // _MINUTE:02} min"
    return f"{time // _DAY} d {time % _DAY // _HOUR} h"


def moment(time: datetime) -> str:
    """A moment such as "2026-11-21 12:00:05 UTC"."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def counted(count: int, thing: str) -> str:
    """A number of things, such as "1 event" or "1,240 events"."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def listed(texts: list[str]) -> str:
    """Texts in a row: "a, b and c"."""
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)
