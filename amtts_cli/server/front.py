"""What every request passes first: an id, who it is from, how large it is; and what every one leaves: a log line."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from amtts_cli.server.context import Context
from amtts_cli.server.errors import ApiError, CutOff
from amtts_cli.server.settings import is_loopback

OPEN = ("/healthz", "/readyz", "/openapi.json")
"""Routes that need no key."""
_LOG = logging.getLogger("amtts.server")
_GONE = 499
_SHUTDOWN = "graceful shutdown exceeded"
"""In the message with which uvicorn cancels what is under way at the end."""
_LOCAL = ("localhost", "127.0.0.1", "[::1]")


class Front:
    """ASGI middleware.

    Args:
        app: what answers.
        context: of the server.
    """

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app, self.context = app, context
        settings = context.settings
        guarded = is_loopback(settings.host) and not context.keys
        self._hosts = {*_LOCAL, *settings.allowed_hosts} if guarded else None
        self._origins = set(settings.origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        scope["amtts.id"] = secrets.token_hex(8)
        reply = _Reply(scope, send)
        began = time.monotonic()
        try:
            await self._answer(scope, receive, reply)
        except ApiError as refusal:
            await reply.refuse(refusal)
        except CutOff as cut:  # returning leaves the answer unfinished, which the client sees
            reply.code = cut.refusal.code
            self.context.metrics.failures.labels(reply.code).inc()
        except asyncio.CancelledError as cancelled:
            if _SHUTDOWN not in str(cancelled):
                reply.status = reply.status or _GONE
                raise
            _LOG.warning("request %s was not done when the time to end (--drain) was over", scope["amtts.id"])
            await reply.refuse(ApiError(503, "the server ends", code="server_ends", retry_after=5))
        except Exception:
            _LOG.exception("request %s failed", scope["amtts.id"])
            self.context.metrics.failures.labels("bug").inc()
            if not await reply.refuse(
                ApiError(500, f"an error of the server; its log knows it as {scope['amtts.id']}", code="bug")
            ):
                raise  # the client has to see that the answer is cut off
        finally:
            self._log(scope, reply, time.monotonic() - began)

    async def _answer(self, scope: Scope, receive: Receive, reply: _Reply) -> None:
        headers = Headers(scope=scope)
        self._check_host(headers)
        preflight = scope["type"] == "http" and scope["method"] == "OPTIONS" and self._origins
        if scope["path"] not in OPEN and not preflight:
            key_name = self.context.keys.key_name(headers.get("authorization", "").encode("latin-1"))
            if key_name is None:
                raise ApiError(
                    401,
                    "the key is missing or wrong; send: Authorization: Bearer KEY",
                    code="invalid_api_key",
                )
            scope["amtts.key_name"] = key_name
        if scope["type"] == "websocket":
            if (origin := headers.get("origin")) is not None and origin not in self._origins:
                raise ApiError(403, "pages of this origin may not connect", code="origin_not_allowed")
            await self._app(scope, receive, reply)
            return
        body = await self._body(headers, receive)
        await self._app(scope, _replayed(body, receive), reply)

    def _check_host(self, headers: Headers) -> None:
        """Refuses names of other machines: a web page could point its own name at this one."""
        if self._hosts is None:
            return
        host = headers.get("host", "")
        name = host if host.endswith("]") else host.rsplit(":", 1)[0]
        if name.lower() not in self._hosts:
            raise ApiError(
                421, f"this server is not {name[:64]!r}; expected localhost", code="host_not_allowed"
            )

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        """The whole body.

        Raises:
            ApiError: it is too large or too slow.
        """
        most = self.context.settings.max_body
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length[:20]) > most:
            raise _too_large(most)
        body = bytearray()
        try:
            async with asyncio.timeout(self.context.settings.body_timeout):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ApiError(_GONE, "the client is gone", code="client_gone")
                    body += message.get("body", b"")
                    if len(body) > most:
                        raise _too_large(most)
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            raise ApiError(408, "the body did not arrive in time", code="request_timeout") from None

    def _log(self, scope: Scope, reply: _Reply, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        method = scope.get("method", "WEBSOCKET")
        method = method if method in ("GET", "POST", "WEBSOCKET", "HEAD", "OPTIONS") else "other"
        status = reply.status or _GONE
        self.context.metrics.requests.labels(route, method, str(status)).inc()
        if status >= 400 and status != 500:
            self.context.metrics.failures.labels(reply.code or str(status)).inc()
        facts: dict[str, Any] = {
            "time": round(time.time(), 3),
            "event": "request",
            "id": scope["amtts.id"],
            "key": scope.get("amtts.key_name"),
            "method": method,
            "route": route,
            "status": status,
            "seconds": round(seconds, 3),
            **({"code": reply.code} if reply.code else {}),
            **scope.get("amtts.notes", {}),
        }
        quiet = route in OPEN or route == "/metrics"
        _LOG.log(logging.DEBUG if quiet else logging.INFO, json.dumps(facts, ensure_ascii=False))


class _Reply:
    """The `send` of a request, which remembers what was sent."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send
        self.status = 0
        self.code = ""

    async def __call__(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            self.status = message["status"]
            message.setdefault("headers", [])
            message["headers"] = [*message["headers"], (b"x-request-id", self._scope["amtts.id"].encode())]
            self.code = next((v.decode() for k, v in message["headers"] if k == b"x-error-code"), "")
        elif message["type"] == "websocket.accept":
            self.status = 101
        elif message["type"] == "websocket.close" and not self.status:
            self.status = 403
        await self._send(message)

    async def refuse(self, refusal: ApiError) -> bool:
        """Sends an error where nothing was sent yet."""
        if self.status:
            return False
        if refusal.status == _GONE:
            self.status, self.code = _GONE, refusal.code
            return True
        self.code = refusal.code
        if self._scope["type"] == "websocket" and (
            "websocket.http.response" not in self._scope.get("extensions", {})
        ):
            await self({"type": "websocket.close", "code": 1008, "reason": refusal.message})
            return True
        await error_response(refusal)(self._scope, _nothing, self)
        return True


def error_response(refusal: ApiError) -> JSONResponse:
    """An error as a client reads it."""
    headers = {**refusal.headers, "x-error-code": refusal.code}
    if refusal.status in (408, 413):
        headers["connection"] = "close"
    return JSONResponse(refusal.body(), refusal.status, headers)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body first."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def _too_large(most: int) -> ApiError:
    return ApiError(413, f"the body is larger than {most} bytes", code="body_too_large")
