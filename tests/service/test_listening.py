"""Taking an address: what is taken, and what is said when it cannot be."""

from __future__ import annotations

import socket

import pytest

from conversion_relay.errors import ConfigurationError
from conversion_relay.service.listening import listen


def test_it_listens_at_once() -> None:
    with listen("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        with socket.create_connection(address, timeout=5):
            pass
    assert address[0] == "127.0.0.1"


def test_a_name_with_both_kinds_of_address_means_ipv4() -> None:
    with listen("localhost", 0) as listener:
        assert listener.family is socket.AF_INET


def test_a_port_in_use_is_said() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConfigurationError) as caught:
            listen("127.0.0.1", port)
    assert str(caught.value) == f"cannot listen on 127.0.0.1:{port}: Address already in use"


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("no such host", "no such host:0"),
        ("..", "..:0"),
        ("a" * 300, f"{'a' * 300}:0"),
        ("203.0.113.7", "203.0.113.7:0"),
        ("2001:db8::1", "[2001:db8::1]:0"),
    ],
)
def test_an_address_that_is_not_ours_is_said(host: str, shown: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        listen(host, 0)
    message = str(caught.value)
    assert message.startswith(f"cannot listen on {shown}: ")
    reason = message.removeprefix(f"cannot listen on {shown}: ")
    assert reason
    assert "Errno" not in reason
    assert "attempting" not in reason
