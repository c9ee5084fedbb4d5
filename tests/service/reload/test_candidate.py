"""A configuration that is whole, and can be had again from what was kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from conversion_relay.errors import ConfigurationError
from conversion_relay.service.reload.candidate import (
    Candidate,
    Files,
    candidate_of,
    read_candidate,
)
from support.changing import ENVIRONMENT, write_files
from support.running import environment

SECRETS = ("access-token", "a-bearer", "a-write-key")
VARIABLES: Mapping[str, str] = {**ENVIRONMENT, "BEARER": "a-bearer", "KEY": "a-write-key"}


def _written(folder: Path) -> Files:
    return Files(VARIABLES, write_files(folder, "http://127.0.0.1:9").path)


def _same(one: Candidate, other: Candidate) -> bool:
    names = [[preset.name for preset in target.presets] for target in one.targets]
    return (
        one.is_like(other)
        and one.configuration == other.configuration
        and names == [[preset.name for preset in target.presets] for target in other.targets]
    )


def test_it_can_be_had_again_from_its_content_alone(tmp_path: Path) -> None:
    files = _written(tmp_path)
    found = files.read()
    (tmp_path / "relay.toml").unlink()
    (tmp_path / "mappings.json").unlink()
    assert _same(files.restored(found.content, "version 1"), found)


def test_variables_alone_can_be_had_again_too(tmp_path: Path) -> None:
    variables = environment(tmp_path, "http://127.0.0.1:9", RELAY_PORT="9000", RELAY_CANARY="off")
    variables["RELAY_CANARY"] = "false"
    found = read_candidate(variables)
    assert _same(candidate_of(found.content, variables, "version 1"), found)


def test_its_content_holds_no_secret(tmp_path: Path) -> None:
    content = _written(tmp_path).read().content
    assert not any(secret in content for secret in SECRETS)
    assert '"env:BEARER"' in content
    assert f'"file:{tmp_path / "token"}"' in content


def test_another_secret_is_another_digest_and_the_same_fingerprint(tmp_path: Path) -> None:
    files = _written(tmp_path)
    before = files.read()
    (tmp_path / "token").write_text("another")
    after = files.read(before)
    assert after.differs_in_secrets(before)
    assert not after.is_like(before)


def test_what_says_the_same_is_not_compiled_again(tmp_path: Path) -> None:
    files = _written(tmp_path)
    before = files.read()
    assert files.read(before) is before
    assert files.restored(before.content, "version 1", before) is before


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("# ", "# another comment", True),
        ('pixel_code = "PIXEL"\naccess_token = "file:token"',
         'access_token = "file:token"\npixel_code = "PIXEL"', True),
        ('"PIXEL-US"', '"PIXEL-CA"', False),
        ('"file:token"', '"file:token2"', False),
    ],
)  # fmt: skip
def test_what_changes_the_fingerprint(tmp_path: Path, old: str, new: str, same: bool) -> None:
    files = _written(tmp_path)
    (tmp_path / "token2").write_text("access-token")
    before = files.read()
    file = tmp_path / "relay.toml"
    file.write_text(file.read_text().replace(old, new) + "# ")
    assert (files.read().fingerprint == before.fingerprint) is same


def test_a_mapping_in_another_file_is_part_of_it(tmp_path: Path) -> None:
    files = _written(tmp_path)
    before = files.read()
    mappings = tmp_path / "mappings.json"
    mappings.write_text(mappings.read_text().replace("Order Completed", "Order Done"))
    assert files.read(before).fingerprint != before.fingerprint


def test_a_secret_that_is_gone_is_told_of_by_its_place(tmp_path: Path) -> None:
    files = _written(tmp_path)
    found = files.read()
    (tmp_path / "token").unlink()
    with pytest.raises(ConfigurationError, match=r"version 7.*\n.*destinations\.eu\.access_token"):
        files.restored(found.content, "version 7")


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    files = _written(tmp_path)
    file = tmp_path / "relay.toml"
    broken = file.read_text().replace("pixel_code", "pixel").replace("mappings.json", "no")
    file.write_text(broken)
    with pytest.raises(ConfigurationError) as caught:
        files.read()
    assert str(caught.value).count("is not a setting") == 2
    assert "destinations.eu.mappings" in str(caught.value)


def test_a_variable_takes_the_place_of_every_secret_in_a_list(tmp_path: Path) -> None:
    written = _written(tmp_path).path
    assert written is not None
    tokens = 'read_tokens = ["env:BEARER", "env:KEY"]\n[sources.web]'
    written.write_text(written.read_text().replace("[sources.web]", tokens, 1))
    files = Files({**VARIABLES, "RELAY_READ_TOKEN": "another-token-to-read"}, written)
    found = files.read()
    assert '"read_tokens":["env:RELAY_READ_TOKEN"]' in found.content
    assert _same(files.restored(found.content, "version 1"), found)


def test_what_is_broken_is_not_compiled_again_until_something_of_it_changes(
    tmp_path: Path,
) -> None:
    files = _written(tmp_path)
    mappings = tmp_path / "mappings.json"
    mappings.write_text('[{"name": "x", "subscribe": "event ==", "mapping": {}}]')
    with pytest.raises(ConfigurationError, match="event =="):
        files.read()
    files.broken.problem = "as before"
    with pytest.raises(ConfigurationError, match="as before"):
        files.read()
    (tmp_path / "relay.toml").write_text("\n" + (tmp_path / "relay.toml").read_text())
    with pytest.raises(ConfigurationError, match="event =="):
        files.read()
    mappings.write_text(mappings.read_text().replace("event ==", "type =="))
    with pytest.raises(ConfigurationError, match="type =="):
        files.read()
