"""Takes the address the service listens on, before anything else of it is started.

Knows names, addresses and their faults; nothing of HTTP.
"""

from __future__ import annotations

import os
import socket
from typing import Final

from conversion_relay.errors import ConfigurationError

_BACKLOG: Final = 2048
_ALL: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; the caller closes it. A name with both kinds of address means IPv4.

    Raises:
        ConfigurationError: naming the address and why it cannot be listened on.
    """
    try:
        family = _family(host, port)
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        shown = _shown(host, port)
        raise ConfigurationError(f"cannot listen on {shown}: {_reason(error)}") from error


def shown_address(host: str, port: int) -> str:
    """How people on other machines call this address; all of them go by this machine's name."""
    return _shown(socket.gethostname() if host in _ALL else host, port)


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _family(host: str, port: int) -> socket.AddressFamily:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    families = {family for family, *_ in found}
    return socket.AF_INET if socket.AF_INET in families else socket.AF_INET6


def _reason(error: OSError | UnicodeError) -> str:
    """In the system's words, without those that Python adds to them."""
    if isinstance(error, UnicodeError):
        return "it is no name of a host"
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error)
    return os.strerror(error.errno)
