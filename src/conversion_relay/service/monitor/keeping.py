"""What may be wrong with the store, its disk and the configuration: a function for each rule.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from conversion_relay.service.alerting.alert import SERVICE
from conversion_relay.service.monitor.figures import COMMIT_SECONDS, COMMITS, Company
from conversion_relay.service.monitor.view import MINUTE, Found, View
from conversion_relay.service.quantities import counted

_SLOW_SECONDS: Final = 0.5
_BUSY_SECONDS: Final = 30.0
_SOME: Final = 5
_MANY_WAITING: Final = 5_000
_RELIEF: Final = 0.02


def store_failing(view: View) -> Iterator[Found]:
    """Nothing can be written."""
    trouble = view.present.store.trouble
    if trouble is not None:
        yield Found(SERVICE, f"Nothing can be written to the database: {trouble}.")


def store_unreadable(view: View) -> Iterator[Found]:
    """The store does not say how things stand."""
    reason = view.present.store.unread
    if reason is not None:
        yield Found(SERVICE, f"The database does not say how things stand: {reason}.")


def store_slow(view: View) -> Iterator[Found]:
    """Writing takes long, so events wait for the disk."""
    window, company = view.last(MINUTE), view.present.company or Company("")
    waiting = (view.present.store.waiting_events or 0) + company.waiting_events
    commits, seconds = window.total(COMMITS), window.total(COMMIT_SECONDS)
    is_slow = commits >= _SOME and seconds >= _SLOW_SECONDS * commits
    if is_slow or seconds >= _BUSY_SECONDS * max(len(company.here), 1) or waiting >= _MANY_WAITING:
        mean = seconds / commits if commits else 0.0
        summary = (
            f"The disk is slow: a transaction took {mean:.2f} s on average in the last minute, "
            f"and {counted(waiting, 'event')} wait for it."
        )
        yield Found(SERVICE, summary, facts={"commit_seconds": round(mean, 3), "waiting": waiting})


def disk_nearly_full(view: View) -> Iterator[Found]:
    """There is little room left beside the database."""
    sizes = view.present.store.sizes
    free, size = sizes.get("disk_free"), sizes.get("disk_size")
    if free is None or not size:
        return
    used = 1 - free / size
    is_open = view.opened("disk_nearly_full", SERVICE) is not None
    if used >= view.limits.disk_used - (_RELIEF if is_open else 0.0):
        summary = f"The disk of the database is {used:.0%} full; {free // 2**20:,} MiB are left."
        yield Found(SERVICE, summary, facts={"used": round(used, 4), "free_bytes": free})


def configuration_refused(view: View) -> Iterator[Found]:
    """A changed configuration does not take effect."""
    refusal = view.present.refusal
    if refusal is not None:
        summary = (
            "The configuration was changed and cannot take effect; the one before goes on: "
            f"{refusal.reason}"
        )
        yield Found(SERVICE, summary, since=refusal.since)
