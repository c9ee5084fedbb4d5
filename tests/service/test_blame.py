"""Whom a refusal of the credentials is about."""

from __future__ import annotations

from conversion_relay.service.blame import Blame, Culprit

ONE, ANOTHER = "pixel A", "pixel B"


def test_while_nobody_is_accepted_it_may_be_the_credentials() -> None:
    blame = Blame()
    assert {blame.refused(ONE, alone=7) for _ in range(50)} == {Culprit.LANE}


def test_one_that_is_refused_while_its_like_are_accepted() -> None:
    blame = Blame()
    found = []
    for _ in range(3):
        found.append(blame.refused(ONE, alone=7))
        blame.accepted(ONE)
    assert found == [Culprit.LANE, Culprit.LANE, Culprit.EVENT]
    assert blame.refused(ONE, alone=8) is Culprit.LANE
    assert blame.refused(ONE, alone=None) is Culprit.LANE


def test_an_envelope_that_is_refused_while_another_is_accepted() -> None:
    blame = Blame()
    found = []
    for _ in range(3):
        found.append(blame.refused(ONE, alone=None))
        blame.accepted(ANOTHER)
    assert found == [Culprit.LANE, Culprit.LANE, Culprit.ENVELOPE]
    assert blame.refused(ONE, alone=7) is Culprit.ENVELOPE
    assert blame.accepted(ONE), "it was mended"
    assert not blame.accepted(ONE)
    assert blame.refused(ONE, alone=7) is Culprit.LANE


def test_it_does_not_remember_without_bounds() -> None:
    blame = Blame()
    for number in range(30_000):
        blame.accepted(ONE)
        blame.refused(ONE, alone=number)
    assert blame.remembered <= 10_000
