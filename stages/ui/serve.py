"""`ui`: serve the page, on this machine alone unless asked otherwise."""

import socket
import sys

from stages.core.errors import UsageError

LOOPBACK = ("127.0.0.1", "localhost")


def serve(host: str, port: int) -> None:
    """Serve until Ctrl-C. Prints the address; port 0 takes a free one.

    Raises UsageError when the packages are not installed or the port is taken.
    """
    try:
        import uvicorn

        from stages.ui.app import make_app
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name} is not installed: pip install '.[ui]'.") from None
    listening = socket.socket()
    try:
        listening.bind((host, port))
        listening.listen()  # a browser that is faster than the server waits
    except OSError as error:
        raise UsageError(f"port {port} of {host}: {error.strerror}. Choose another with --port.") from None
    names = frozenset({host, *LOOPBACK})
    if host not in LOOPBACK:
        print(f"warning: whoever reaches {host} can build and publish here", file=sys.stderr)
    print(f"http://{host}:{listening.getsockname()[1]}/", flush=True)
    config = uvicorn.Config(make_app(names), log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listening])
