"""The chart of a report as inline SVG: received and delivered, added up over the period.

The gap between the two lines is the backlog; hatched times are outages. It says the same in black
and white: the lines differ in their strokes, and each is named where it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from typing import Final

from conversion_relay.service.report import wording as words
from conversion_relay.service.report.outages import Outage
from conversion_relay.service.report.report import Report
from conversion_relay.service.report.story import zone
from conversion_relay.service.store.history import Moment

_WIDTH, _HEIGHT = 820.0, 310.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 56.0, 20.0, 44.0, 42.0
_MOST_TICKS: Final = 9
_MOST_LEVELS: Final = 5
_NARROWEST_NAMED: Final = 90.0
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_TICKS: Final = (
    *(timedelta(minutes=minutes) for minutes in (1, 5, 10, 15, 30)),
    *(hours * _HOUR for hours in (1, 2, 3, 6, 12)),
    *(days * _DAY for days in (1, 2, 7, 14, 28, 91)),
)


@dataclass(frozen=True, slots=True)
class Course:
    """Both counts added up until a moment.

    Attributes:
        received: with what was there before the period, as far as its delivery shows that.
    """

    at: datetime
    received: int
    delivered: int

    @property
    def backlog(self) -> int:
        """What was received and not delivered."""
        return self.received - self.delivered


def course(
    moments: Sequence[Moment], since: datetime, until: datetime, step: timedelta
) -> Sequence[Course]:
    """The course from the beginning of the period to its end, in straight pieces."""
    at, received, delivered = since, 0, 0
    found = [Course(at, received, delivered)]
    for one in moments:
        begin = max(at, one.begin)
        at = max(begin, min(one.begin + step, until))
        if begin > found[-1].at:
            found.append(Course(begin, received, delivered))
        received += one.received
        delivered += one.delivered
        found.append(Course(at, received, delivered))
    found.append(Course(until, received, delivered))
    before = max(0, *(-one.backlog for one in found))
    return [Course(one.at, one.received + before, one.delivered) for one in found]


def chart(report: Report) -> str:
    """The picture with its title and description; "" where there is nothing to show."""
    asked = report.asked
    found = course(report.moments, asked.since, asked.until, asked.step)
    if not max(one.received for one in found):
        return ""
    return "\n".join(_Picture(report, found).parts())


@dataclass(frozen=True, slots=True)
class _Picture:
    report: Report
    course: Sequence[Course]

    def parts(self) -> Iterator[str]:
        yield (
            f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" '
            'aria-labelledby="chart-title chart-desc" xmlns="http://www.w3.org/2000/svg">'
        )
        yield f'<title id="chart-title">{escape(self._title())}</title>'
        yield f'<desc id="chart-desc">{escape(self._description())}</desc>'
        yield (
            '<defs><pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" '
            'patternTransform="rotate(45)"><line class="hatch" x1="0" y1="0" x2="0" y2="7"/>'
            "</pattern></defs>"
        )
        yield from self._levels()
        yield from self._outages()
        yield from self._hours()
        yield f'<path class="backlog" d="{self._area()}"/>'
        yield f'<path class="delivered" d="{self._line([one.delivered for one in self.course])}"/>'
        yield f'<path class="received" d="{self._line([one.received for one in self.course])}"/>'
        yield from self._most()
        yield from self._legend()
        yield "</svg>"

    def _title(self) -> str:
        return "Conversions received and delivered, added up over the period"

    def _description(self) -> str:
        last, most = self.course[-1], self._peak()
        when = words.minute(most.at, self.report.asked.zone)
        return (
            f"{words.counted(last.received)} received and {words.counted(last.delivered)} "
            f"delivered by the end. The backlog was largest at {when} with "
            f"{words.counted(most.backlog)}. Outages are hatched: {len(self.report.outages)}."
        )

    def _peak(self) -> Course:
        return max(self.course, key=lambda one: one.backlog)

    def _x(self, at: datetime) -> float:
        asked = self.report.asked
        part = (at - asked.since) / (asked.until - asked.since)
        return _LEFT + min(1.0, max(0.0, part)) * (_WIDTH - _LEFT - _RIGHT)

    def _y(self, count: int) -> float:
        part = count / (self._unit() * self._number_of_levels())
        return _HEIGHT - _BOTTOM - part * (_HEIGHT - _TOP - _BOTTOM)

    def _most_received(self) -> int:
        return max(one.received for one in self.course)

    def _number_of_levels(self) -> int:
        """As many as hold everything."""
        return -(-self._most_received() // self._unit())

    def _unit(self) -> int:
        """Of the scale: 1, 2 or 5 with zeros, so that five of it hold everything."""
        least = self._most_received() / _MOST_LEVELS
        unit = 1
        while unit < least:
            first = str(unit)[0]
            unit = unit * 5 // 2 if first == "2" else unit * 2
        return unit

    def _levels(self) -> Iterator[str]:
        for level in range(self._number_of_levels() + 1):
            count = level * self._unit()
            y = self._y(count)
            yield f'<path class="level" d="M{_LEFT:g} {y:.1f}H{_WIDTH - _RIGHT:g}"/>'
            yield f'<text class="scale" x="{_LEFT - 8:g}" y="{y + 4:.1f}" text-anchor="end">'
            yield f"{words.counted(count)}</text>"

    def _hours(self) -> Iterator[str]:
        """Times below; the day where it begins, and at the first one."""
        asked, bottom, day = self.report.asked, _HEIGHT - _BOTTOM, ""
        for at in ticks(asked.since, asked.until, asked.zone.utcoffset(_naive(asked.since))):
            local, x = at.astimezone(asked.zone), self._x(at)
            yield f'<path class="tick" d="M{x:.1f} {bottom:g}v5"/>'
            yield f'<text class="scale" x="{x:.1f}" y="{bottom + 18:g}" text-anchor="middle">'
            yield f"{local:%H:%M}</text>"
            if f"{local:%d}" != day:
                day = f"{local:%d}"
                yield f'<text class="scale" x="{x:.1f}" y="{bottom + 33:g}" text-anchor="middle">'
                yield f"{local:%Y-%m-%d}</text>"

    def _outages(self) -> Iterator[str]:
        """Each hatched; what lies beside an earlier one of another destination has no name."""
        named_until = _LEFT
        for outage in self.report.outages:
            yield from self._hatched(outage)
            begin, end = self._ends(outage)
            if begin >= named_until and end - begin >= _NARROWEST_NAMED:
                named_until = end
                lasted = words.lasting(outage.lasted(self.report.asked.until))
                middle = f'x="{(begin + end) / 2:.1f}" y="{_TOP - 8:g}" text-anchor="middle"'
                yield f'<text class="name" {middle}>outage, {lasted}</text>'

    def _ends(self, outage: Outage) -> tuple[float, float]:
        return self._x(outage.begin), self._x(outage.end or self.report.asked.until)

    def _hatched(self, outage: Outage) -> Iterator[str]:
        begin, end = self._ends(outage)
        width, height = max(1.5, end - begin), _HEIGHT - _TOP - _BOTTOM
        place = f'x="{begin:.1f}" y="{_TOP:g}" width="{width:.1f}" height="{height:g}"'
        yield f'<rect class="outage" {place}/><rect fill="url(#hatch)" {place}/>'

    def _line(self, counts: Iterable[int]) -> str:
        points = zip(self.course, counts, strict=True)
        return "M" + "L".join(f"{self._x(one.at):.1f} {self._y(n):.1f}" for one, n in points)

    def _area(self) -> str:
        there = self._line([one.received for one in self.course])
        back = (f"{self._x(one.at):.1f} {self._y(one.delivered):.1f}" for one in self.course[::-1])
        return f"{there}L{'L'.join(back)}Z"

    def _most(self) -> Iterator[str]:
        """The largest backlog, measured where it was."""
        most = self._peak()
        high, low = self._y(most.received), self._y(most.delivered)
        if low - high < _BOTTOM:
            return
        x = self._x(most.at)
        yield f'<path class="measure" d="M{x - 4:.1f} {high:.1f}h8m-4 0V{low:.1f}m-4 0h8"/>'
        yield f'<text class="name" x="{x - 9:.1f}" y="{(high + low) / 2:.1f}" text-anchor="end">'
        yield f"{words.counted(most.backlog)} waiting</text>"

    def _legend(self) -> Iterator[str]:
        kinds = (("received", "received"), ("delivered", "delivered"))
        for index, (kind, name) in enumerate(kinds):
            x = _LEFT + 110 * index
            yield f'<path class="{kind}" d="M{x:g} 12h30"/>'
            yield f'<text class="name" x="{x + 37:g}" y="16">{name}</text>'
        x = _LEFT + 220
        yield f'<rect class="backlog" x="{x:g}" y="5" width="30" height="13"/>'
        yield f'<text class="name" x="{x + 37:g}" y="16">not delivered yet</text>'
        yield f'<text class="scale" x="{_WIDTH - _RIGHT:g}" y="16" text-anchor="end">'
        yield f"{escape(zone(self.report))}</text>"


def ticks(since: datetime, until: datetime, offset: timedelta | None) -> Sequence[datetime]:
    """Round times of the zone within the period, a handful."""
    length = until - since
    step = next((one for one in _TICKS if length / one <= _MOST_TICKS), _TICKS[-1])
    midnight = since.replace(hour=0, minute=0, second=0, microsecond=0) - (offset or timedelta())
    first = midnight + -((midnight - since) // step) * step
    count = int((until - first) / step) + 1
    return [first + index * step for index in range(count) if first + index * step <= until]


def _naive(time: datetime) -> datetime:
    return time.replace(tzinfo=None)
