"""What a change of the configuration goes through, and what comes of it, as values.

Says nothing of how a step is done.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final, TypeAlias

from conversion_relay.core.plan import Target
from conversion_relay.errors import ConfigurationError
from conversion_relay.service.reload.candidate import Candidate, Files
from conversion_relay.service.reload.trial import Trial
from conversion_relay.service.reload.verification import Verified
from conversion_relay.service.settings import Configuration
from conversion_relay.service.store.history import History, VersionRecord

_ONE_EACH: Final = re.compile(r"\n(?! )")


class Step(Enum):
    """Where a change failed."""

    LOAD = "load"  # it cannot be read
    CHECK = "check"  # it can be read, and cannot be used as things are
    TRIAL = "trial"  # real events would fare worse
    VERIFY = "verify"  # the partner refuses it, or does not answer
    AGREE = "agree"  # another node cannot run it, or does not answer


class Result(Enum):
    """What came of a change."""

    ADOPTED = "adopted"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    WAITING = "waiting"  # the partner, or the nodes, said nothing, so that it is tried again


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a change does not take effect."""

    step: Step
    sentence: str


Answer: TypeAlias = tuple[Result, tuple[Objection, ...]]
"""What comes of a change, and why it does not take effect."""


def objections_of(error: ConfigurationError) -> tuple[Objection, ...]:
    """Why files cannot be used: a problem a line, without the line above them."""
    found = _ONE_EACH.split(str(error))
    named = found[1:] if len(found) > 1 and found[0].endswith(":") else found
    return tuple(Objection(Step.LOAD, one.removeprefix("- ")) for one in named)


TryOut: TypeAlias = Callable[[Candidate, Candidate], Awaitable[Trial]]
"""Tries the second configuration, beside the first, which runs, with the events kept last."""
Verify: TypeAlias = Callable[[Candidate, Sequence[str]], Awaitable[Verified]]
"""Asks the partner about these destinations of the configuration, by name."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What came of a change.

    Attributes:
        result: see Result.
        version: the number of the configuration that runs now; None where it was not kept.
        problems: why it does not take effect; what an operator accepted is none.
        changes: what real events would become, in sentences.
        verified: what the partner said, in sentences.
        needs_restart: settings that differ, and that only a start takes over.
        difference: to what ran before, a line each.
        warnings: what is probably not meant.
        dry_run: nothing was changed; `result` says what would have come of it.
    """

    result: Result
    version: int | None = None
    problems: tuple[Objection, ...] = ()
    changes: tuple[str, ...] = ()
    verified: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()
    difference: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """What a service begins with.

    Attributes:
        files: where its configuration comes from.
        candidate: what they say, or the version that was kept last, where they are left aside.
        kept: that version.
        problems: why they are left aside; none where an operator rolled them back.
        lost: why the version that an operator rolled back to cannot be used any more.
    """

    files: Files
    candidate: Candidate
    kept: VersionRecord | None = None
    problems: tuple[Objection, ...] = ()
    lost: str | None = None


@dataclass(frozen=True, slots=True)
class Ports:
    """What the reloader asks of others.

    Attributes:
        adopt: has the service go on with another configuration.
        try_out: see steps.
        verify: see steps.
        history: where versions are kept, and what waits is known.
        is_held: whether the partner refuses the present token of this destination.
    """

    adopt: Callable[[Configuration, tuple[Target, ...]], Awaitable[None]]
    try_out: TryOut
    verify: Verify
    history: History
    is_held: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A change that does not take effect, for whoever watches.

    Attributes:
        since: when it was refused first, aware.
        problems: why.
    """

    since: datetime
    problems: tuple[Objection, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """How a change is meant.

    Attributes:
        cause: start, file, signal, api, rollback or agreement (another node's).
        dry_run: nothing is to be changed.
        accept: what the trial and the check object to is meant so.
        rolled_back: the fingerprint of what the files say, where that is to be left aside.
    """

    cause: str
    dry_run: bool = False
    accept: bool = False
    rolled_back: str | None = None
