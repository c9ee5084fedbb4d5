"""As many connections as the system allows, and a word in the log where it is strict."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from conversion_relay.service.descriptors import BESIDE_CONNECTIONS, room_for
from support.lines import Lines


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_limit_of_the_process_is_raised_as_far_as_needed() -> None:
    log = Lines()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (400, hard))
    assert room_for(500, log) == 500
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (500 + BESIDE_CONNECTIONS, hard)
    assert not log.events


def test_a_limit_that_is_high_enough_stays() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert room_for(8, Lines()) == 8
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


def test_a_strict_system_leaves_fewer_connections_and_is_told_of() -> None:
    log = Lines()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        pytest.skip("this system has no limit")
    assert room_for(hard, log) == hard - BESIDE_CONNECTIONS
    assert log.events == ["service.few_descriptors"]
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
