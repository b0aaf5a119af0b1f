"""Keeps a test on this machine: no socket is opened to anything but loopback."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

_LOOPBACK = (None, "127.0.0.1", "::1", "localhost", "")

_installed = False
_active = 0


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _active:
        return
    if event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # a path, for a local socket
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if (host.decode() if isinstance(host, bytes) else host) not in _LOOPBACK:
        raise RuntimeError(f"a test reached out to {host}")


def forbid_foreign_sockets() -> None:
    """Forbid them for the rest of this process."""
    global _installed, _active
    if not _installed:
        # an audit hook cannot be removed, so that it is installed once and switched
        sys.addaudithook(_audit)
        _installed = True
    _active += 1


@contextlib.contextmanager
def loopback_only() -> Iterator[None]:
    """Forbid them inside the context."""
    global _active
    forbid_foreign_sockets()
    try:
        yield
    finally:
        _active -= 1
