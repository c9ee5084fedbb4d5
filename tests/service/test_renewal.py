"""Access tokens that are renewed in their files while the service runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from conversion_relay.service.configuration import load
from conversion_relay.service.renewal import LOOK_SECONDS, Renewal
from conversion_relay.service.settings import Configuration
from support.lines import Lines
from support.running import environment


class Taken:
    """Remembers the tokens it was given."""

    def __init__(self) -> None:
        self.tokens: list[Mapping[str, str]] = []

    async def __call__(self, tokens: Mapping[str, str]) -> None:
        """Takes them."""
        self.tokens.append(tokens)


class EndOfTest(Exception):
    """Ends what would go on for ever."""


async def _no_sleep(_: float) -> None:
    raise AssertionError


def _renewal(folder: Path, taken: Taken, log: Lines) -> Renewal:
    variables = environment(folder, "http://127.0.0.1:9", TIKTOK_ACCESS_TOKEN="")
    variables["TIKTOK_ACCESS_TOKEN_FILE"] = str(folder / "token")

    def reload() -> Configuration:
        return load(variables)

    return Renewal(reload, taken, _no_sleep, log)


async def test_the_token_in_the_file_is_taken_over(tmp_path: Path) -> None:
    taken = Taken()
    renewal = _renewal(tmp_path, taken, Lines())
    for token in ("first", "second"):
        (tmp_path / "token").write_text(f"{token}\n")
        await renewal.look()
    assert taken.tokens == [{"tiktok": "first"}, {"tiktok": "second"}]


async def test_a_file_that_cannot_be_used_changes_nothing_and_is_told_once(tmp_path: Path) -> None:
    taken, log = Taken(), Lines()
    renewal = _renewal(tmp_path, taken, log)
    await renewal.look()
    await renewal.look()
    assert not taken.tokens
    assert log.events == ["configuration.not_reloaded"]
    (tmp_path / "token").write_text("there")
    await renewal.look()
    (tmp_path / "token").unlink()
    await renewal.look()
    assert taken.tokens == [{"tiktok": "there"}]
    assert log.events == ["configuration.not_reloaded"] * 2


async def test_it_looks_every_few_seconds(tmp_path: Path) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise EndOfTest

    taken = Taken()
    renewal = _renewal(tmp_path, taken, Lines())
    renewal.sleep = sleep
    (tmp_path / "token").write_text("there")
    with pytest.raises(EndOfTest):
        await renewal.run()
    assert pauses == [LOOK_SECONDS] * 3
    assert len(taken.tokens) == 2
