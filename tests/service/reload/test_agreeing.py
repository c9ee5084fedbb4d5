"""A configuration that all nodes agree on before it takes effect on any of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from conversion_relay.core.destination import Verdict
from conversion_relay.errors import ConfigurationError
from conversion_relay.service.reload.agreeing import (
    GIVEN_UP_AFTER,
    SILENT_AFTER,
    given_up,
    judged,
)
from conversion_relay.service.reload.candidate import Candidate
from conversion_relay.service.reload.steps import Ask, Result, Step
from conversion_relay.service.reload.trial import Trial
from conversion_relay.service.store.cluster import Decision, NodeRecord, Proposal
from support.cluster import standing
from support.company import Company, Node
from support.time import VirtualTime

SECOND = timedelta(seconds=1)
API = Ask("api")


@pytest.fixture
async def company(tmp_path: Path) -> AsyncIterator[Company]:
    """Without nodes."""
    opened = Company(tmp_path)
    yield opened
    await opened.end()


async def three(company: Company) -> tuple[Node, Node, Node]:
    """Nodes that run the usual configuration."""
    first, second, third = [await company.start(name) for name in ("a", "b", "c")]
    await company.run(6)
    return first, second, third


def _node(name: str, silent: float = 0.0) -> NodeRecord:
    return NodeRecord(name, standing(VirtualTime()), silent * SECOND, timedelta())


def _proposal(age: timedelta = timedelta(), **votes: str | None) -> Proposal:
    return Proposal(1, "a", "mark", "{}", age, votes)


HERE = [_node("a"), _node("b"), _node("gone", 30)]
JUDGED = {
    "nobody has said anything": (_proposal(), None),
    "one is missing": (_proposal(a=None), None),
    "all can": (_proposal(a=None, b=None), (Decision.ADOPTED, None)),
    "one cannot": (
        _proposal(a=None, b="no token"),
        (Decision.REFUSED, "node b cannot run it: no token"),
    ),
    "one said so and went": (
        _proposal(a=None, b=None, c="no"),
        (Decision.REFUSED, "node c cannot run it: no"),
    ),
    "one is silent": (
        _proposal(SILENT_AFTER, a=None),
        (
            Decision.REFUSED,
            "node b is there, and did not say within 25 s whether it can run it",
        ),
    ),
}


@pytest.mark.parametrize("name", JUDGED)
def test_what_becomes_of_a_proposal(name: str) -> None:
    proposal, verdict = JUDGED[name]
    assert judged(proposal, HERE) == verdict


def test_when_anybody_may_end_it() -> None:
    assert given_up(_proposal(GIVEN_UP_AFTER - SECOND)) is None
    assert "node a" in str(given_up(_proposal(GIVEN_UP_AFTER)))


async def test_all_take_over_what_all_can_run(company: Company) -> None:
    first, *others = await three(company)
    company.write("a", pixel="NEW")
    await company.run(9)
    assert company.pixels == ["NEW"] * 3
    assert company.versions == [2] * 3
    assert [one.cause for one in company.kept] == ["start", "file"]
    assert first.outer.asked == [["us"]]
    assert [node.outer.asked for node in others] == [[], []], "the partner is asked once"
    for node in others:
        assert node.log.events == ["configuration.adopted"]


async def test_it_takes_the_others_seconds(company: Company) -> None:
    first, *others = await three(company)
    for node in others:
        node.cluster.is_deaf = True
    company.write("a", pixel="NEW")
    reloading = asyncio.create_task(first.reloader.reload(API))
    began = company.time.now
    reloaded = await company.done(reloading)
    assert (reloaded.result, reloaded.version) == (Result.ADOPTED, 2)
    assert company.time.now - began < 4 * SECOND, "though nobody hears anything"
    await company.run(2.5)
    assert company.pixels == ["NEW"] * 3


async def test_one_that_cannot_run_it_refuses_for_all(company: Company) -> None:
    first = await company.start("a", OTHER="other")
    second = await company.start("b", OTHER="other")
    await company.start("c")
    await company.run(6)
    company.write("a", pixel="NEW", token="env:OTHER")
    await company.run(60)
    assert company.pixels == ["PIXEL"] * 3
    assert first.reasons.startswith("node c cannot run it: ")
    assert "OTHER" in first.reasons
    assert first.reloader.standing is not None
    assert {one.step for one in first.reloader.standing.problems} == {Step.AGREE}
    assert second.log.events == ["configuration.not_agreed"]
    assert len(company.commons.proposals) == 1, "what was refused is not tried again"
    reloaded = await company.done(asyncio.create_task(first.reloader.reload(API)))
    assert reloaded.result is Result.REFUSED
    assert len(company.commons.proposals) == 2, "but for somebody who asks"
    company.write("a")
    await company.run(9)
    assert first.reloader.standing is None


async def test_one_that_is_there_and_says_nothing_refuses_for_all(company: Company) -> None:
    first, _, silent = await three(company)
    await silent.end(1)
    company.write("a", pixel="NEW")
    await company.run(40)
    assert company.pixels == ["PIXEL"] * 3
    assert first.reasons == "node c is there, and did not say within 25 s whether it can run it"


async def test_one_that_dies_meanwhile_does_not_block(company: Company) -> None:
    _, _, dead = await three(company)
    await dead.end()
    company.write("a", pixel="NEW")
    await company.run(40)
    assert company.pixels == ["NEW", "NEW", "PIXEL"]


async def test_a_proposal_whose_maker_died_is_ended_by_others(company: Company) -> None:
    _, second, third = await three(company)
    dead = await company.start("d", idle=True)
    proposing = dead.cluster.propose("mark", second.reloader.running.content)
    assert await company.done(asyncio.create_task(proposing))
    company.write("b", pixel="NEW")
    await company.run(38)
    assert third.pixel == "PIXEL", "one at a time"
    await company.run(30)
    assert company.commons.proposals[0][0].decision is Decision.REFUSED
    assert "node d, which proposed it" in str(company.commons.proposals[0][0].reason)
    assert company.pixels[:3] == ["NEW"] * 3


async def test_of_two_who_change_it_at_once_both_are_heard(company: Company) -> None:
    await three(company)
    company.write("a", pixel="FIRST")
    company.write("b", pixel="SECOND")
    await company.run(60)
    assert len(set(company.pixels)) == 1
    assert sorted(one.cause for one in company.kept) == ["file", "file", "start"]
    assert company.versions == [3] * 3
    count = len(company.commons.proposals)
    await company.run(300)
    assert len(company.commons.proposals) == count, "they do not go on like that"


async def test_files_that_change_everywhere_are_one_change(company: Company) -> None:
    await three(company)
    for name in ("a", "b", "c"):
        company.write(name, pixel="NEW")
    await company.run(60)
    assert company.pixels == ["NEW"] * 3
    assert (len(company.commons.proposals), len(company.kept)) == (1, 2)


async def test_files_that_are_refused_everywhere_are_refused_once(company: Company) -> None:
    for name in ("a", "b"):
        await company.start(name, OTHER="other")
    await company.start("c")
    await company.run(6)
    for name in ("a", "b", "c"):
        company.write(name, pixel="NEW", token="env:OTHER")
    await company.run(300)
    assert company.pixels == ["PIXEL"] * 3
    assert len(company.commons.proposals) == 1


async def test_files_that_are_older_do_not_come_back(company: Company) -> None:
    first, second, _ = await three(company)
    company.write("a", pixel="NEW")
    await company.run(120)
    assert company.pixels == ["NEW"] * 3
    reloaded = await company.done(asyncio.create_task(second.reloader.reload(API)))
    assert (reloaded.result, len(reloaded.warnings)) == (Result.UNCHANGED, 1)
    company.write("b", pixel="NEW")
    await company.run(9)
    assert len(company.kept) == 2
    company.write("b", pixel="PIXEL")
    await company.run(9)
    assert company.pixels == ["PIXEL"] * 3, "what is written anew is meant"
    assert first.reloader.version == 3


async def test_what_is_a_node_s_own_is_no_change(company: Company) -> None:
    first, second, _ = await three(company)
    company.write("b", port="8081")
    await company.run(9)
    assert len(company.commons.proposals) == 0
    company.write("b", port="8081", pixel="NEW")
    await company.run(9)
    assert company.pixels == ["NEW"] * 3
    assert first.reloader.running.configuration.service.port == 8080
    assert first.reloader.needs_restart == ()
    assert first.reloader.running.fingerprint == second.reloader.running.fingerprint


async def test_a_version_is_taken_back_everywhere(company: Company) -> None:
    first, second, _ = await three(company)
    for name in ("a", "b", "c"):
        company.write(name, pixel="NEW")
    await company.run(9)
    rolled = asyncio.create_task(second.reloader.rollback(1, Ask("rollback")))
    reloaded = await company.done(rolled)
    assert reloaded is not None
    assert reloaded.result is Result.ADOPTED
    await company.run(120)
    assert company.pixels == ["PIXEL"] * 3, "though all files say something else"
    assert company.versions == [3] * 3
    company.write("c", pixel="NEXT")
    await company.run(9)
    assert company.pixels == ["NEXT"] * 3
    assert first.reloader.standing is None


async def test_a_rollback_that_one_cannot_run_is_refused(company: Company) -> None:
    first = await company.start("a", OTHER="other")
    company.write("a", pixel="OLD", token="env:OTHER")
    await company.run(9)
    company.write("a")
    await company.run(9)
    await company.start("b")
    await company.run(9)
    rolling = asyncio.create_task(first.reloader.rollback(2, Ask("rollback")))
    reloaded = await company.done(rolling)
    assert reloaded is not None
    assert [one.sentence[:21] for one in reloaded.problems] == ["node b cannot run it:"]
    assert company.pixels == ["PIXEL"] * 2


async def test_a_node_begins_with_what_the_others_run(company: Company) -> None:
    """And what its files say besides is a change for all."""
    await three(company)
    company.write("d", pixel="NEW")
    new = await company.start("d")
    assert new.pixel == "PIXEL"
    assert "configuration.joined" in new.log.events
    await company.run(9)
    assert company.pixels == ["NEW"] * 4
    assert company.versions == [2] * 4
    company.write("a", pixel="NEW")
    await company.run(9)
    assert len(company.commons.proposals) == 1


async def test_a_node_that_cannot_run_what_the_others_run_does_not_begin(
    company: Company,
) -> None:
    await company.start("a", OTHER="other")
    company.write("a", token="env:OTHER")
    await company.run(9)
    with pytest.raises(ConfigurationError, match="cannot run version 2, which the other nodes"):
        await company.start("b")


async def test_alone_it_begins_with_its_files(company: Company) -> None:
    first = await company.start("a")
    await company.run(6)
    await first.end()
    company.nodes.clear()
    await company.run(25)
    company.write("b", pixel="NEW")
    second = await company.start("b")
    assert (second.pixel, second.reloader.version) == ("NEW", 2)


async def test_those_who_begin_together_are_one_version(company: Company) -> None:
    for name in ("a", "b", "c"):
        await company.start(name, idle=True)
    company.kept.append(replace(company.kept[0], id=2))
    for node in company.nodes:
        node.tasks = [asyncio.create_task(node.attendance.run())]
    await company.run(5)
    assert company.versions == [2] * 3


async def test_those_who_began_without_each_other_agree_soon(company: Company) -> None:
    company.write("b", pixel="NEW")
    for name in ("a", "b"):
        await company.start(name, idle=True)
    assert company.pixels == ["PIXEL", "NEW"]
    for node in company.nodes:
        node.tasks = [asyncio.create_task(node.attendance.run())]
    await company.run(5)
    assert (company.pixels, company.versions) == (["NEW", "NEW"], [2, 2])


async def test_what_was_examined_beside_another_change_is_examined_again(
    company: Company,
) -> None:
    first, second, _ = await three(company)
    usual = first.reloader.ports.try_out

    async def slow(running: Candidate, candidate: Candidate) -> Trial:
        await company.time.sleep(10)
        return await usual(running, candidate)

    first.reloader.ports = replace(first.reloader.ports, try_out=slow)
    company.write("a", pixel="FIRST")
    reloading = asyncio.create_task(first.reloader.reload(API))
    await company.run(1)
    company.write("b", pixel="SECOND")
    await company.done(asyncio.create_task(second.reloader.reload(API)))
    reloaded = await company.done(reloading)
    assert (reloaded.result, reloaded.problems[0].step) == (Result.WAITING, Step.AGREE)
    assert first.pixel == "SECOND"


async def test_secrets_are_each_node_s_own(company: Company) -> None:
    (company.folder / "secret").write_text("one")
    file = f"file:{company.folder / 'secret'}"
    for name in ("a", "b"):
        company.write(name, token=file)
        await company.start(name)
    await company.run(6)
    (company.folder / "secret").write_text("two")
    await company.run(9)
    tokens = [
        node.reloader.running.configuration.destinations["us"].access_token.get_secret_value()
        for node in company.nodes
    ]
    assert tokens == ["two", "two"]
    assert len(company.commons.proposals) == 0
    assert [node.outer.asked for node in company.nodes] == [[["us"]], [["us"]]]


async def test_one_that_was_cut_off_follows_later(company: Company) -> None:
    _, _, third = await three(company)
    third.cluster.is_cut_off = True
    company.write("a", pixel="NEW")
    await company.run(40)
    assert company.pixels == ["NEW", "NEW", "PIXEL"]
    third.cluster.is_cut_off = False
    await company.run(6)
    assert company.pixels == ["NEW"] * 3
    assert company.versions == [2] * 3


async def test_one_that_is_cut_off_changes_nothing(company: Company) -> None:
    first, *_ = await three(company)
    first.cluster.is_cut_off = True
    company.write("a", pixel="NEW")
    await company.run(20)
    assert company.pixels == ["PIXEL"] * 3
    first.cluster.is_cut_off = False
    await company.run(40)
    assert company.pixels == ["NEW"] * 3, "it is tried again"


async def test_a_maker_that_is_cut_off_in_the_middle_learns_how_it_ended(
    company: Company,
) -> None:
    first, _, third = await three(company)
    await third.end(1)
    company.write("a", pixel="NEW")
    reloading = asyncio.create_task(first.reloader.reload(API))
    await company.run(1)
    assert len(company.commons.proposals) == 1
    first.cluster.is_cut_off = True
    await company.run(60)
    assert reloading.done()
    reloaded = await reloading
    assert (reloaded.result, reloaded.problems[0].step) == (Result.WAITING, Step.AGREE)
    assert company.commons.proposals[0][0].decision is Decision.REFUSED
    assert company.pixels == ["PIXEL"] * 3


async def test_a_maker_that_does_not_hear_what_it_decided_follows_the_others(
    company: Company,
) -> None:
    first, *_ = await three(company)
    first.cluster.is_cut_off_by_deciding = True
    company.write("a", pixel="NEW")
    await company.run(50)
    assert company.pixels == ["PIXEL", "NEW", "NEW"]
    first.cluster.is_cut_off = False
    await company.run(3)
    assert company.pixels == ["NEW"] * 3


async def test_a_version_is_written_once(company: Company) -> None:
    first, *_ = await three(company)
    await first.end(1)
    first.outer.is_full = True
    company.write("a", pixel="NEW")
    await company.run(60)
    assert company.versions[1:] == [2, 2]
    first.outer.is_full = False
    await company.run(6)
    assert (company.versions, len(company.kept)) == ([2] * 3, 2)


async def test_a_version_that_its_maker_did_not_keep_is_kept_by_another(
    company: Company,
) -> None:
    first, *_ = await three(company)
    first.outer.is_full = True
    company.write("a", pixel="NEW")
    await company.run(12)
    assert company.versions == [None] * 3
    assert company.pixels == ["NEW"] * 3
    await first.end()
    await company.run(60)
    assert company.versions[1:] == [2, 2]
    assert len(company.kept) == 2


async def test_what_the_partner_refuses_is_proposed_to_nobody(company: Company) -> None:
    first, *_ = await three(company)
    first.outer.verdict = Verdict.REFUSED
    company.write("a", pixel="NEW")
    await company.run(30)
    assert company.commons.proposals == []
    assert first.reloader.standing is not None


async def test_while_nothing_changes_little_is_asked(company: Company) -> None:
    await three(company)
    await company.run(60)
    company.commons.calls.clear()
    await company.run(100)
    assert company.commons.calls.pop("beat") == pytest.approx(60, abs=3)
    assert company.commons.calls == {"proposal": pytest.approx(150, abs=4)}
