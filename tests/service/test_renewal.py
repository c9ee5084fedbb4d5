"""Secrets that are renewed in their files while the service runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from conversion_relay.service.configuration import load
from conversion_relay.service.http.signature import Credentials
from conversion_relay.service.renewal import LOOK_SECONDS, Renewal
from conversion_relay.service.settings import Configuration
from support.lines import Lines
from support.running import environment


class Taken:
    """Remembers the tokens it was given."""

    def __init__(self) -> None:
        self.tokens: list[Mapping[str, str]] = []
        self.credentials: list[Mapping[str, Credentials]] = []

    async def __call__(self, tokens: Mapping[str, str]) -> None:
        """Takes them."""
        self.tokens.append(tokens)

    def of_sources(self, credentials: Mapping[str, Credentials]) -> None:
        """Takes those of sources."""
        self.credentials.append(credentials)


class EndOfTest(Exception):
    """Ends what would go on for ever."""


async def _no_sleep(_: float) -> None:
    raise AssertionError


def _renewal(folder: Path, taken: Taken, log: Lines) -> Renewal:
    variables = environment(folder, "http://127.0.0.1:9", TIKTOK_ACCESS_TOKEN="")
    variables["TIKTOK_ACCESS_TOKEN_FILE"] = str(folder / "token")

    def reload() -> Configuration:
        return load(variables)

    return Renewal(reload, taken, taken.of_sources, _no_sleep, log)


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


TOML = """
[sources.web]
signing_secrets = ["file:secret", "file:old-secret"]
bearer_tokens = ["file:bearer"]
write_keys = ["file:key"]
[destinations.tiktok]
pixel_code = "PIXEL"
access_token = "file:token"
"""


def _written(folder: Path, **changes: str) -> None:
    """Each file in the place of the one before, as platforms renew them."""
    for name, content in changes.items():
        new = folder / f"{name}.new"
        new.write_text(content)
        new.replace(folder / name.replace("_", "-"))


async def test_credentials_of_sources_are_taken_over_and_told_without_a_value(
    tmp_path: Path,
) -> None:
    _written(tmp_path, secret="a", old_secret="z", bearer="b", key="c", token="d")
    file = tmp_path / "relay.toml"
    file.write_text(TOML)
    taken, log = Taken(), Lines()
    renewal = Renewal(lambda: load({}, file), taken, taken.of_sources, _no_sleep, log)
    await renewal.look()
    await renewal.look()
    assert log.events == []
    _written(tmp_path, secret="new-secret", key="new-key")
    await renewal.look()
    assert taken.credentials == [
        {"web": Credentials((b"a", b"z"), (b"b",), (b"c",))},
        {"web": Credentials((b"a", b"z"), (b"b",), (b"c",))},
        {"web": Credentials((b"new-secret", b"z"), (b"b",), (b"new-key",))},
    ]
    assert log.lines == [("info", "source.renewed", {"source": "web"})]


@pytest.mark.parametrize(
    ("name", "content"),
    [("secret", ""), ("relay.toml", "[sources.web"), ("relay.toml", TOML.replace("key", "gone"))],
)
async def test_with_a_broken_configuration_all_stays_as_it_is(
    tmp_path: Path, name: str, content: str
) -> None:
    _written(tmp_path, secret="a", old_secret="z", bearer="b", key="c", token="d")
    file = tmp_path / "relay.toml"
    file.write_text(TOML)
    taken, log = Taken(), Lines()
    renewal = Renewal(lambda: load({}, file), taken, taken.of_sources, _no_sleep, log)
    await renewal.look()
    _written(tmp_path, **{name: content, "bearer": "changed", "token": "changed"})
    await renewal.look()
    assert len(taken.credentials) == len(taken.tokens) == 1
    assert log.events == ["configuration.not_reloaded"]
