"""What a report says, in order: sentences, figures, notes. Knows no form of output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from conversion_relay.service.report import wording as words
from conversion_relay.service.report.report import Amount, Fate, Figures, Report

TITLE: Final = "Conversion delivery report"
_DELIVERED: Final = (Fate.ON_TIME, Fate.LATE)
_NOT_DELIVERED: Final = (Fate.UNCERTAIN, Fate.DEAD, Fate.SUPPRESSED)


@dataclass(frozen=True, slots=True)
class Tile:
    """One of the figures the report begins with; its value has a line for each currency."""

    label: str
    count: str
    share: str
    worth: str


def period(report: Report) -> str:
    """From when to when, in the zone that was asked for."""
    asked = report.asked
    since, until = (words.minute(one, asked.zone) for one in (asked.since, asked.until))
    return f"{since} to {until} ({zone(report)})"


def zone(report: Report) -> str:
    """The zone, with its offset where its name does not say it."""
    asked = report.asked
    first, last = (words.offset(one, asked.zone) for one in (asked.since, asked.until))
    offsets = first if first == last else f"{first}, later {last}"
    return asked.zone_name if asked.zone_name == offsets else f"{asked.zone_name}, {offsets}"


def tiles(report: Report) -> Sequence[Tile]:
    """The figures that matter most."""
    figures, asked = report.figures, report.asked
    whole = figures.received.count
    on_time = f"delivered within {words.lasting(asked.on_time)}"
    shown = (
        ("received", figures.received),
        (on_time, figures.of(Fate.ON_TIME)),
        ("delivered late", figures.of(Fate.LATE)),
        ("still waiting", figures.of(Fate.WAITING)),
        ("uncertain, dead or suppressed", figures.of(*_NOT_DELIVERED)),
    )
    return [_tile(label, amount, whole) for label, amount in shown]


def _tile(label: str, amount: Amount, whole: int) -> Tile:
    part = words.share(amount.count, whole)
    values = "\n".join(words.values(amount))
    return Tile(label, words.counted(amount.count), part, values or words.NOTHING)


def summary(report: Report) -> Sequence[str]:
    """What happened, in a few sentences."""
    figures = report.figures
    whole = figures.received.count
    if not whole:
        return ("No conversion was received in this period.", *_about_outages(report))
    received = f"{words.counted(whole)} {_noun(whole)} received."
    return (received, *_about_outages(report), *_about_lateness(figures), _about_the_rest(figures))


def _noun(count: int) -> str:
    return "conversion was" if count == 1 else "conversions were"


def _about_outages(report: Report) -> Iterator[str]:
    zone = report.asked.zone
    for one in report.outages:
        lasted = words.lasting(one.lasted(report.asked.until))
        begin = words.moment(one.begin, zone)
        if one.end is None:
            yield f"{one.destination} accepted nothing from {begin} to the end ({lasted})."
        else:
            end = words.moment(one.end, zone)
            yield f"{one.destination} accepted nothing from {begin} to {end} ({lasted})."


def _about_lateness(figures: Figures) -> Iterator[str]:
    late = figures.of(Fate.LATE)
    if late.count:
        longest = words.lasting(timedelta(seconds=figures.longest_seconds))
        value = f", worth {', '.join(words.values(late))}" if late.micros else ""
        yield (
            f"{words.counted(late.count)} {_noun(late.count)} delivered late{value}, "
            f"the last of them {longest} after its receipt."
        )


def _about_the_rest(figures: Figures) -> str:
    missing = [
        f"{words.counted(figures.of(fate).count)} {words.FATES[fate]}"
        for fate in Fate
        if fate not in _DELIVERED and figures.of(fate).count
    ]
    if not missing:
        return "Every conversion that was received has been accepted."
    return f"Not accepted so far: {', '.join(missing)}."


def warnings(report: Report) -> Iterator[str]:
    """What has to be known before the figures are believed."""
    asked = report.asked
    if report.kept_since > asked.since:
        kept = words.minute(report.kept_since, asked.zone)
        yield (
            "Incomplete: delivered conversions are kept for a time only, and those received "
            f"before {kept} may have been removed."
        )
    if report.trouble is not None:
        yield (
            "Incomplete: nothing can be written to the database at present. What was delivered "
            "meanwhile is shown as still waiting; make the report anew once that is mended."
        )
    unvalued = sum(one.unvalued for one in report.outcomes)
    if unvalued:
        yield (
            f"The value of {words.counted(unvalued)} of the conversions is not known, for the "
            "release that received them did not keep it. The sums of values are without them."
        )


def methods(report: Report) -> Iterable[str]:
    """How the figures came about, a sentence or two each."""
    asked = report.asked
    yield (
        "A conversion is an event that a mapping made ready for TikTok. It belongs to the period "
        "in which it was received, whenever it was delivered. Test events of the service itself "
        "are left out."
    )
    yield (
        f"On time: TikTok accepted it within {words.lasting(asked.on_time)} of its receipt. Late: "
        "after that. Still waiting: it will be sent. Uncertain: it may have arrived, and a person "
        "has to decide. Dead: refused for good, or given up. Suppressed: not to be sent."
    )
    yield (
        "TikTok drops a copy with the same event id within 48 hours of the first. What may have "
        "arrived is sent again only within that time, so nothing counts twice."
    )
    yield (
        "Values are what the shop said, summed by currency and never converted. Conversions "
        "without a value count without one."
    )
    yield (
        f"Times are in {zone(report)}. Outages are found from the answers: from the first failing "
        "one to the first accepted one; fewer than three failed requests are none."
    )
    yield "The report holds no personal data."


def made(report: Report) -> str:
    """When and by what it was made."""
    at = words.moment(report.asked.made_at, report.asked.zone)
    return f"Made {at} ({zone(report)}) by conversion-relay {report.version}"
