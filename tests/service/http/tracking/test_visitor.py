"""Whose address a request came from, whatever proxies stand in between."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.service.http.tracking.visitor import Visitors

VISITOR, OTHER = "93.184.216.34", "151.101.1.69"
PROXIES = ("10.0.0.0/8", "2600:1f18::/32", "127.0.0.1/32")
_XFF, _FORWARDED = b"x-forwarded-for", b"forwarded"


def _address(
    client: str | None, headers: dict[bytes, bytes], proxies: tuple[str, ...] = PROXIES
) -> str | None:
    scope = {
        "client": None if client is None else (client, 4711),
        "server": ("104.16.0.1", 8080),
    }
    return Visitors.behind(proxies).address(scope, headers)


@pytest.mark.parametrize(
    ("client", "address"),
    [
        (VISITOR, VISITOR),
        (f"::ffff:{VISITOR}", VISITOR),
        ("2606:4700::1111", "2606:4700::1111"),
        ("192.168.1.7", None),
        ("172.16.0.1", None),
        ("169.254.1.1", None),
        ("127.0.0.1", None),
        ("::1", None),
        ("fe80::1%eth0", None),
        ("fd00::1", None),
        ("::ffff:10.0.0.1", None),
        ("224.0.0.1", None),
        ("0.0.0.0", None),  # noqa: S104 - nobody's address
        ("104.16.0.1", None),  # our own
        ("testclient", None),
        ("", None),
        (None, None),
    ],
)
def test_the_address_of_the_connection(client: str | None, address: str | None) -> None:
    assert _address(client, {}) == address


@pytest.mark.parametrize(
    ("chain", "address"),
    [
        (VISITOR, VISITOR),
        (f"{OTHER}, {VISITOR}", VISITOR),  # what stands to the left may be invented
        (f"{VISITOR}, 10.2.3.4,10.1.1.1", VISITOR),
        (f"{VISITOR}:4711", VISITOR),
        ("[2606:4700::1111]:80", "2606:4700::1111"),
        (f"{VISITOR}, 2600:1f18::9", VISITOR),
        (f"{VISITOR}, 192.168.0.9", None),  # a stranger that is no visitor
        (f"{VISITOR}, unknown", None),
        (f"{VISITOR}, ", None),
        ("10.1.1.1, 10.1.1.2", None),
        ("", None),
        (VISITOR + ",10.0.0.1" * 40, None),
    ],
)
def test_a_trusted_proxy_is_believed(chain: str, address: str | None) -> None:
    headers = {_XFF: chain.encode()}
    assert _address("10.0.0.1", headers) == address
    assert _address(OTHER, headers) == OTHER, "a stranger is not believed"
    assert _address("10.0.0.1", headers, ()) is None, "nor is a proxy that is not configured"


@pytest.mark.parametrize(
    ("chain", "address"),
    [
        (f"for={VISITOR}", VISITOR),
        (f'For="{VISITOR}:80";proto=https;by=10.0.0.1', VISITOR),
        (f"proto=http;for={OTHER}, for={VISITOR}, FOR=10.9.9.9", VISITOR),
        ('for="[2606:4700::1111]:4711"', "2606:4700::1111"),
        ("for=unknown", None),
        ("for=_hidden", None),
        ("by=10.0.0.1", None),
        ('for="', None),
    ],
)
def test_the_standard_header(chain: str, address: str | None) -> None:
    assert _address("10.0.0.1", {_FORWARDED: chain.encode()}) == address


def test_the_wider_known_header_comes_first() -> None:
    headers = {_FORWARDED: f"for={OTHER}".encode(), _XFF: VISITOR.encode()}
    assert _address("10.0.0.1", headers) == VISITOR


@given(st.binary(max_size=80), st.sampled_from([_XFF, _FORWARDED]))
def test_no_header_is_a_fault(chain: bytes, name: bytes) -> None:
    found = _address("10.0.0.1", {name: chain})
    assert found is None or "." in found or ":" in found
