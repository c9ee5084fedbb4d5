"""Encryption of what is kept: AES-256-GCM, after compression where that pays.

A sealed value is: format (1 byte), id of the key (4), nonce (12), ciphertext and tag. The first
two and the caller's context are authenticated, so a value opens only where it was sealed for. Of
the rotation of keys it knows "the first seals, all open"; it knows no database.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
import zlib
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from conversion_relay.errors import ConfigurationError, SealingError
from conversion_relay.service.place import (
    beside,
    flush_folder,
    holds_data,
    private_folder,
    require_place,
    unusable,
)

KEY_BYTES = 32
NO_KEYS = (
    f"is not base64 of {KEY_BYTES} bytes, or several of these with white space or commas between "
    "them: make one with `openssl rand -base64 32`"
)
_KEY_ID_BYTES = 4
_NONCE_BYTES = 12
_HEADER_BYTES = 1 + _KEY_ID_BYTES
_COMPRESSION_LEVEL = 1
_READABLE_BY_OTHERS = 0o077


class Packing(Enum):
    """What is done to a value before encryption; the number is the format byte."""

    PLAIN = 1  # short-lived values: zlib lets go of the interpreter for every single value
    DEFLATED = 2  # what is kept for days


class Sealer:
    """Seals with the first key, opens with any. Safe to use from several threads."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ConfigurationError(f"an encryption key has {KEY_BYTES} bytes, and one is needed")
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self._key_id = _key_id(keys[0])
        self._cipher = self._ciphers[self._key_id]

    @property
    def key_id(self) -> str:
        """Which key seals, as hexadecimal digits; says nothing about the key itself."""
        return self._key_id.hex()

    def seal(self, plain: bytes, context: bytes, packing: Packing = Packing.DEFLATED) -> bytes:
        """The sealed value; it opens only with the same context."""
        return self.seal_all([(plain, context)], packing)[0]

    def seal_all(
        self, values: Sequence[tuple[bytes, bytes]], packing: Packing = Packing.DEFLATED
    ) -> list[bytes]:
        """Seal each (plain, context), in order.

        The nonces are drawn at once: asking the system for each would let go of the interpreter
        every time, which beside a busy event loop costs milliseconds.
        """
        header = bytes((packing.value,)) + self._key_id
        nonces = os.urandom(_NONCE_BYTES * len(values))
        encrypt = self._cipher.encrypt
        sealed: list[bytes] = []
        for position, (plain, context) in enumerate(values):
            nonce = nonces[position * _NONCE_BYTES : (position + 1) * _NONCE_BYTES]
            if packing is Packing.DEFLATED:
                plain = zlib.compress(plain, _COMPRESSION_LEVEL)  # noqa: PLW2901 (packed in place)
            sealed.append(header + nonce + encrypt(nonce, plain, header + context))
        return sealed

    def sealed_now(self, sealed: bytes) -> bool:
        """Whether the key that seals now sealed this value."""
        return sealed[1:_HEADER_BYTES] == self._key_id

    def missing_key(self, sealed: bytes) -> str | None:
        """The id of the key that this was sealed with, where it is not at hand."""
        named = sealed[1:_HEADER_BYTES]
        return None if named in self._ciphers else named.hex()

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """What was sealed.

        Raises:
            SealingError: the key is not at hand, the value was changed or belongs elsewhere.
        """
        header, rest = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES:]
        cipher = self._ciphers.get(header[1:])
        if cipher is None:
            raise SealingError(f"sealed with a key that is not at hand (id {header[1:].hex()})")
        try:
            packed = cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], header + context)
            packing = Packing(header[0])
            return zlib.decompress(packed) if packing is Packing.DEFLATED else packed
        except (InvalidTag, ValueError, zlib.error) as error:
            raise SealingError(
                "a sealed value was changed or stands in the wrong place"
            ) from error


def binding(*parts: str | int | None) -> bytes:
    """The context of a value that belongs to exactly these key fields."""
    return orjson.dumps(parts)


def load_or_create_keys(setting: str | None, database: Path) -> tuple[bytes, ...]:
    """The keys of the setting; without one, of the key file beside the database.

    Each is base64 of 32 bytes; white space or commas stand between several. The first seals, all
    open. A new key is made for a new database only.

    Raises:
        ConfigurationError: the setting or the file holds something else, others can read the file,
            it is missing while the database holds data, or no database can be at this path.
        StoreUnavailable: the disk is full, fails or can only be read.
    """
    if setting is not None:
        return keys_of(setting)
    require_place(database)
    path = beside(database, ".key")
    try:
        if not path.exists():
            _require_new(database, path)
            private_folder(path.parent)
            _create_key_file(path)
        return _read_key_file(path)
    except OSError as error:
        raise unusable(f"the key file {path}", error) from error


def _require_new(database: Path, key: Path) -> None:
    if holds_data(database):
        raise ConfigurationError(
            f"the key file {key} is missing, and the database {database} holds data sealed with "
            "its key: put the file back, or give its content as RELAY_ENCRYPTION_KEY"
        )


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()[:_KEY_ID_BYTES]


def _decoded(text: bytes, origin: str) -> tuple[bytes, ...]:
    keys = keys_in(text)
    if not keys:
        raise ConfigurationError(f"{origin} {NO_KEYS}")
    return keys


def keys_of(setting: str) -> tuple[bytes, ...]:
    """The keys of the setting.

    Raises:
        ConfigurationError: it holds something else.
    """
    return _decoded(setting.encode(), "the encryption key (RELAY_ENCRYPTION_KEY)")


def keys_in(text: bytes) -> tuple[bytes, ...]:
    """The keys that the text holds; none if one of them is no key."""
    keys = tuple(_decoded_key(part) for part in text.replace(b",", b" ").split())
    return keys if all(len(key) == KEY_BYTES for key in keys) else ()


def _decoded_key(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _create_key_file(path: Path) -> None:
    """Write a new key; whoever is first wins, and nobody ever sees half a file."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    text = base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 (a descriptor, not a path)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        _link(draft, path)
    finally:
        draft.unlink()
    flush_folder(path.parent)


def _link(draft: Path, path: Path) -> None:
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return  # another process was first: its key counts


def _read_key_file(path: Path) -> tuple[bytes, ...]:
    if path.stat().st_mode & _READABLE_BY_OTHERS:
        raise ConfigurationError(
            f"the key file {path} can be read by others: run `chmod 600 {path}`, "
            "and think of the key as known"
        )
    return _decoded(path.read_bytes(), f"the key file {path}")
