"""Between the socket and the application: records every request and lets the armed faults strike."""

import asyncio
import itertools
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import INVALID_CREDENTIALS, HubError
from .faults import Fault, Faults, Target
from .log import Record, RequestLog
from .store import Store
from .tokens import Tokens

Address = tuple[str, int]

# Where the application finds who is to detect the corruption of this upload.
DETECTED_BY = "hub.detected_by"


def answer(error: HubError) -> JSONResponse:
    """Return a refusal in the Hub's form: the code and the message in headers, the message in the body again."""
    headers = {"X-Error-Message": error.message, **error.headers}
    if error.code is not None:
        headers["X-Error-Code"] = error.code
    return JSONResponse({"error": error.message}, error.status, headers)


@dataclass
class Wire:
    """The outermost application; `connections` holds the transport of every client that is connected."""

    app: ASGIApp
    routes: Iterable[Route]
    store: Store
    tokens: Tokens
    faults: Faults
    requests: RequestLog
    connections: dict[Address, asyncio.Transport] = field(default_factory=dict)
    crashes: list[Exception] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # A revision may hold a slash (refs%2Fpr%2F1): routes see the path before it is decoded.
        scope["path"] = scope["raw_path"].decode("ascii")
        record = self._record(scope)
        self.requests.append(record)
        number = next(self.numbers)

        async def counted_receive() -> Message:
            message = await receive()
            record.bytes_received += len(message.get("body", b""))
            return message

        async def counted_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = f"loopback-{number}"
            elif record.method != "HEAD":
                record.bytes_sent += len(message.get("body", b""))
            await send(message)

        fault = self.faults.take(record)
        try:
            if fault is None:
                await self.app(scope, counted_receive, counted_send)
            else:
                record.fault = fault.kind
                await self._strike(fault, scope, counted_receive, counted_send)
        except ClientDisconnect:
            return
        except Exception as error:
            self.crashes.append(error)
            raise

    async def _strike(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        match fault.kind:
            case "status" | "expired_token":
                await _drain(receive)
                await _refusal(fault)(scope, receive, send)
            case "status_after":
                await self.app(scope, receive, _nowhere)
                await _refusal(fault)(scope, receive, send)
            case "reset":
                await _drain(receive)
                await self._reset(scope, receive)
            case "reset_after":
                await self.app(scope, receive, _nowhere)
                await self._reset(scope, receive)
            case "foreign_commit":
                await run_in_threadpool(fault.hook, self.store, _target(scope["path"]))
                await self.app(scope, receive, send)
            case "cut_upload":
                await _drain(receive, _limit(fault, Headers(scope=scope)))
                await self._reset(scope, receive)
            case "corrupt_upload":
                scope[DETECTED_BY] = fault.detected_by
                await self.app(scope, _Flip(fault).receiving(receive), send)
            case "corrupt_download":
                await self.app(scope, receive, _Flip(fault).sending(send))
            case "cut_download" | "stall_download":
                await self._cut_download(fault, scope, receive, send)
            case "slow":
                await asyncio.sleep(fault.delay)
                await self.app(scope, receive, send)
            case "call":
                await run_in_threadpool(fault.action)
                await self.app(scope, receive, send)
            case "call_after":
                held: list[Message] = []
                await self.app(scope, receive, _hold(held))
                await run_in_threadpool(fault.action)
                for message in held:
                    await send(message)

    async def _cut_download(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        left = 0
        cut = False

        async def send_part(message: Message) -> None:
            nonlocal left, cut
            if cut:
                return
            if message["type"] == "http.response.start":
                headers = Headers(raw=list(message["headers"]))
                left = min(_limit(fault, headers), int(headers.get("content-length", "0")))
                await send(message)
                return
            body = message.get("body", b"")[:left]
            left -= len(body)
            cut = left == 0
            await send({"type": "http.response.body", "body": body, "more_body": True})
            if cut and fault.kind == "stall_download":
                await _gone(receive)
            elif cut:
                # closed, not reset: what was sent must arrive, or tests could not count on it
                self.connections[scope["client"]].close()

        await self.app(scope, receive, send_part)
        await _gone(receive)

    async def _reset(self, scope: Scope, receive: Receive) -> None:
        transport = self.connections[scope["client"]]
        # a connection that lingers for no time is reset, not closed
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        await _gone(receive)

    def _record(self, scope: Scope) -> Record:
        headers = Headers(scope=scope)
        token = self.tokens.get(headers.get("authorization", "").removeprefix("Bearer "))
        route = next((route.name for route in self.routes if route.matches(scope)[0] is Match.FULL), "unknown")
        return Record(
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode("ascii"),
            route=route,
            user=token.user if token else None,
            range=headers.get("range"),
        )


class _Flip:
    """Flips one bit of a body that comes in pieces."""

    def __init__(self, fault: Fault) -> None:
        self._left = fault.at_byte or 0

    def receiving(self, receive: Receive) -> Receive:
        async def corrupted() -> Message:
            return self._corrupt(await receive())

        return corrupted

    def sending(self, send: Send) -> Send:
        async def corrupted(message: Message) -> None:
            await send(self._corrupt(message))

        return corrupted

    def _corrupt(self, message: Message) -> Message:
        body = bytearray(message.get("body", b""))
        if 0 <= self._left < len(body):
            body[self._left] ^= 1
        self._left -= len(body)
        return {**message, "body": bytes(body)} if body else message


def _refusal(fault: Fault) -> JSONResponse:
    status = 401 if fault.kind == "expired_token" else fault.status
    message = fault.message or {401: INVALID_CREDENTIALS, 429: "Too Many Requests"}.get(status, f"Injected {status}")
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return answer(HubError(status, message, fault.error_code, headers))


def _limit(fault: Fault, headers: Headers) -> int:
    return fault.at_byte if fault.at_byte is not None else int(headers.get("content-length", "0")) // 2


def _target(path: str) -> Target:
    _, _, kind, namespace, name, _, revision = path.split("/")
    return Target(f"{namespace}/{name}", "dataset" if kind == "datasets" else "model", unquote(revision))


async def _nowhere(_: Message) -> None:
    """Swallow a response."""


def _hold(messages: list[Message]) -> Send:
    async def hold(message: Message) -> None:
        messages.append(message)

    return hold


async def _drain(receive: Receive, limit: float = float("inf")) -> None:
    """Read the request's body, so that the client has sent it before it is answered."""
    received = 0
    while received < limit:
        message = await receive()
        received += len(message.get("body", b""))
        if not message.get("more_body", False):
            return


async def _gone(receive: Receive) -> None:
    """Wait until the client's connection is closed."""
    while (await receive())["type"] != "http.disconnect":
        pass
