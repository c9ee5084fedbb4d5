"""Sealed values open where they belong and nowhere else; keys come from a setting or a file."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.errors import ConfigurationError, SealingError
from conversion_relay.service.sealing import Packing, Sealer, binding, load_or_create_keys

KEY = bytes(range(32))
OTHER = bytes(32)
CONTEXT = binding("event", "default", "m1")


@given(st.binary(max_size=2_000), st.binary(max_size=50), st.sampled_from(Packing))
def test_what_was_sealed_opens(plain: bytes, context: bytes, packing: Packing) -> None:
    sealer = Sealer([KEY])
    assert sealer.open(sealer.seal(plain, context, packing), context) == plain


def test_many_are_sealed_in_order() -> None:
    sealer = Sealer([KEY])
    values = [(b"plain %d" % number, b"context %d" % number) for number in range(50)]
    sealed = sealer.seal_all(values)
    contexts = [context for _, context in values]
    assert [sealer.open(*pair) for pair in zip(sealed, contexts, strict=True)] == [
        plain for plain, _ in values
    ]
    assert len({value[5:17] for value in sealed}) == 50  # no nonce twice


@pytest.mark.parametrize("packing", Packing)
def test_nothing_of_the_plain_text_shows(packing: Packing) -> None:
    sealer = Sealer([KEY])
    plain = b"jane.doe@example.com"
    sealed = sealer.seal(plain, CONTEXT, packing)
    assert plain not in sealed
    assert sealed != sealer.seal(plain, CONTEXT, packing)
    assert sealed[0] == packing.value
    assert sealed[1:5].hex() == sealer.key_id


def test_deflated_values_are_smaller() -> None:
    sealer = Sealer([KEY])
    assert len(sealer.seal(b"same " * 1_000, CONTEXT)) < 200


@given(st.integers(min_value=0), st.integers(1, 255))
def test_a_changed_byte_anywhere_is_noticed(position: int, flipped: int) -> None:
    sealer = Sealer([KEY])
    changed = bytearray(sealer.seal(b"plain", CONTEXT, Packing.PLAIN))
    changed[position % len(changed)] ^= flipped
    with pytest.raises(SealingError):
        sealer.open(bytes(changed), CONTEXT)


@pytest.mark.parametrize("size", [0, 1, 5, 16, 17, 32])
def test_a_cut_value_is_noticed(size: int) -> None:
    sealer = Sealer([KEY])
    with pytest.raises(SealingError):
        sealer.open(sealer.seal(b"plain", CONTEXT)[:size], CONTEXT)


@pytest.mark.parametrize(
    "context",
    [b"", binding("body", "default", "m1"), binding("event", "default", "m2"), CONTEXT + b" "],
)
def test_a_value_does_not_open_in_another_place(context: bytes) -> None:
    sealer = Sealer([KEY])
    with pytest.raises(SealingError, match="wrong place"):
        sealer.open(sealer.seal(b"plain", CONTEXT), context)


def test_bindings_of_different_parts_differ() -> None:
    parts = [("a", "b"), ("ab",), ("a,b",), ("a", "b", None), ("a", 1), ("a", "1"), ('a","b',)]
    assert len({binding(*some) for some in parts}) == len(parts)


def test_the_first_key_seals_and_all_open() -> None:
    old, new = Sealer([OTHER]), Sealer([KEY, OTHER])
    assert new.open(old.seal(b"plain", CONTEXT), CONTEXT) == b"plain"
    assert Sealer([KEY]).open(new.seal(b"plain", CONTEXT), CONTEXT) == b"plain"
    with pytest.raises(SealingError, match=new.key_id):
        old.open(new.seal(b"plain", CONTEXT), CONTEXT)


@pytest.mark.parametrize("keys", [[], [b"short"], [KEY, KEY[:31]]])
def test_a_sealer_needs_whole_keys(keys: list[bytes]) -> None:
    with pytest.raises(ConfigurationError, match="32 bytes"):
        Sealer(keys)


def test_the_setting_is_the_key(tmp_path: Path) -> None:
    setting = base64.b64encode(KEY).decode()
    assert load_or_create_keys(setting, tmp_path / "relay.db") == (KEY,)
    assert load_or_create_keys(f" {setting}\n", tmp_path / "relay.db") == (KEY,)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("between", ["\n", " ", ",", ", ", "\n\n \t"])
def test_several_keys_come_in_the_order_they_are_given(tmp_path: Path, between: str) -> None:
    text = between.join(base64.b64encode(key).decode() for key in (OTHER, KEY))
    assert load_or_create_keys(text, tmp_path / "relay.db") == (OTHER, KEY)
    file = tmp_path / "relay.db.key"
    file.write_text(text)
    file.chmod(0o600)
    assert load_or_create_keys(None, tmp_path / "relay.db") == (OTHER, KEY)


@pytest.mark.parametrize(
    "setting",
    ["", "secret-but-short", base64.b64encode(KEY[:31]).decode(), "é" * 44, "!" * 44, ",,,"],
)
def test_a_setting_that_is_no_key_is_refused_without_repeating_it(
    setting: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="RELAY_ENCRYPTION_KEY") as refused:
        load_or_create_keys(setting, tmp_path / "relay.db")
    assert not setting or setting not in str(refused.value)


def test_without_a_setting_a_key_file_is_made_once(tmp_path: Path) -> None:
    database = tmp_path / "new" / "relay.db"
    keys = load_or_create_keys(None, database)
    assert [len(key) for key in keys] == [32]
    assert load_or_create_keys(None, database) == keys
    (file,) = database.parent.iterdir()
    assert file.name == "relay.db.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(database.parent.stat().st_mode) == 0o700
    assert load_or_create_keys(file.read_text(), tmp_path / "elsewhere.db") == keys


@pytest.mark.parametrize("kept", ["relay.db", "relay.db-wal"])
def test_no_new_key_is_made_for_a_database_that_holds_data(tmp_path: Path, kept: str) -> None:
    database = tmp_path / "relay.db"
    database.write_bytes(b"data")
    (tmp_path / kept).write_bytes(b"data")
    with pytest.raises(ConfigurationError, match=r"relay\.db\.key is missing") as refused:
        load_or_create_keys(None, database)
    assert str(database) in str(refused.value)
    assert {file.name for file in tmp_path.iterdir()} == {"relay.db", kept}


def test_an_empty_database_gets_a_new_key(tmp_path: Path) -> None:
    (tmp_path / "relay.db").write_bytes(b"")
    (key,) = load_or_create_keys(None, tmp_path / "relay.db")
    assert len(key) == 32


def test_half_a_key_among_others_is_refused(tmp_path: Path) -> None:
    whole = base64.b64encode(KEY).decode()
    with pytest.raises(ConfigurationError, match="RELAY_ENCRYPTION_KEY") as refused:
        load_or_create_keys(f"{whole} {whole[:20]}", tmp_path / "relay.db")
    assert whole[:20] not in str(refused.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    database = tmp_path / "relay.db"
    load_or_create_keys(None, database)
    file = tmp_path / "relay.db.key"
    file.chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_or_create_keys(None, database)


@pytest.mark.parametrize("content", [b"", b"half a k", b"\xff" * 44])
def test_a_key_file_that_holds_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "relay.db.key"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(ConfigurationError, match=r"relay\.db\.key"):
        load_or_create_keys(None, tmp_path / "relay.db")
    assert file.read_bytes() == content


def test_a_key_file_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        load_or_create_keys(None, tmp_path / "file" / "relay.db")
