"""The last row of the cluster: how its ingest looked to Segment over all of the rows before."""

from __future__ import annotations

import pytest

from faults.availability import LEAST_AVAILABILITY, Availability
from faults.conftest import Report


def test_the_ingest_was_there_for_segment(report: Report, availability: Availability) -> None:
    if not availability.requests:
        pytest.skip("no other row of the cluster ran in this process")
    report(20, f"rows 14 to 18 together: {availability}")
    assert availability.share >= LEAST_AVAILABILITY
