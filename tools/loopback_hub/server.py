"""Running the Hub on loopback: in a thread for tests, in the foreground by hand."""

import asyncio
import contextlib
import fcntl
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from .app import make_app, make_routes
from .call import MULTIPART_THRESHOLD, PART_SIZE, Site
from .faults import Faults
from .log import RequestLog
from .store import Store
from .tokens import Token, Tokens
from .wire import Wire

_HOST = "127.0.0.1"


@dataclass(frozen=True)
class Hub:
    """A running Hub: where it is, and what a test may look at and change."""

    endpoint: str
    store: Store
    tokens: Tokens
    faults: Faults
    requests: RequestLog

    def client_env(self, home: Path, token: Token | None = None) -> dict[str, str]:
        """Return the environment in which a client talks to this Hub alone and keeps its cache in `home`."""
        env = {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(home),
            "HF_HUB_CACHE": str(home / "hub"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_IMPLICIT_TOKEN": "" if token else "1",
            "NO_PROXY": f"{_HOST},localhost",  # the storage has the second name
        }
        return env | ({"HF_TOKEN": token.value} if token else {})


@dataclass(frozen=True)
class Service:
    """A Hub that is bound to a port but not served yet."""

    hub: Hub
    wire: Wire
    config: uvicorn.Config
    listener: socket.socket


class ThreadServer(uvicorn.Server):
    """Stops at once and drops its clients, where uvicorn polls and waits for them: tests stop many a Hub."""

    def __init__(self, service: Service) -> None:
        super().__init__(service.config)
        self._wire = service.wire
        self._started = threading.Event()
        self._thread = threading.Thread(target=self.run, args=([service.listener],), name="hub", daemon=True)

    def start(self) -> None:
        """Start the thread and wait until it serves."""
        self._thread.start()
        if not self._started.wait(timeout=30):
            raise RuntimeError("the Hub did not start")

    def stop(self) -> None:
        """Stop serving and wait for the thread."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    async def main_loop(self) -> None:
        """Wait for `stop`."""
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._started.set()
        await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close everything."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for transport in list(self._wire.connections.values()):
            transport.abort()
        for task in list(self.server_state.tasks):
            task.cancel()
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)


def make_service(site: Site, tokens: Tokens, *, port: int = 0, log_level: str = "error") -> Service:
    """Bind a Hub to a loopback port, an unused one for 0."""
    routes = make_routes(site, tokens)
    faults = Faults({route.name for route in routes} | {"unknown"})
    requests = RequestLog()
    wire = Wire(make_app(routes), routes, site.store, tokens, faults, requests)

    class Protocol(H11Protocol):
        """Tells the faults which transport belongs to which client."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if self.client is not None:
                wire.connections[self.client] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            if self.client is not None:
                wire.connections.pop(self.client, None)
            super().connection_lost(exc)

    # asyncio sends small answers without delay only where the protocol is named
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
    except (OSError, OverflowError):
        listener.close()
        raise
    # listening before the server runs: a client that is early waits instead of failing
    listener.listen()
    config = uvicorn.Config(
        wire,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level=log_level,
        access_log=False,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=1,
    )
    endpoint = f"http://{_HOST}:{listener.getsockname()[1]}"
    return Service(Hub(endpoint, site.store, tokens, faults, requests), wire, config, listener)


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """Hold a folder against a second server: each would overwrite the other's refs."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RuntimeError(f"another Hub is serving {root}; stop it or choose another folder") from error
        yield


@contextlib.contextmanager
def running_hub(
    root: Path,
    *,
    tokens: Tokens | None = None,
    multipart_threshold: int = MULTIPART_THRESHOLD,
    part_size: int = PART_SIZE,
) -> Iterator[Hub]:
    """Run a Hub on `root` in a thread; on the way out, an error inside the Hub itself fails the test.

    Give the `tokens` of an earlier Hub to restart it; uploads above `multipart_threshold` go in parts.
    """
    with alone(root):
        site = Site(Store(root), multipart_threshold, part_size)
        # what goes wrong inside is raised below; the rest is what the armed faults do
        service = make_service(site, tokens or Tokens(), log_level="critical")
        server = ThreadServer(service)
        server.start()
        try:
            yield service.hub
        finally:
            server.stop()
    if service.wire.crashes:
        raise ExceptionGroup("the Hub failed", service.wire.crashes)
