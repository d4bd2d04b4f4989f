"""What every request passes first: is the studio called by its own name, and by whom; and what every answer carries.

The policy in the header keeps a browser from asking any other machine for anything, whatever a page holds.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from amtts_cli.studio.login import Login

_LOCAL = ("localhost", "127.0.0.1", "[::1]")
_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self' data: blob:; "
    "frame-ancestors 'self'; base-uri 'self'; form-action 'self'; object-src 'none'"
)


class Front:
    """ASGI middleware.

    Args:
        app: what answers.
        login: who may use it.
        hosts: names by which it is called besides this machine's own; None takes any.
        largest: bytes of a request's body.
    """

    def __init__(self, app: ASGIApp, *, login: Login, hosts: tuple[str, ...] | None, largest: int) -> None:
        self._app, self._login, self._largest = app, login, largest
        self._hosts = None if hosts is None else {*_LOCAL, *hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(Headers(scope=scope), scope)
        if refusal is not None:
            if scope["type"] == "http":
                await refusal(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008})
            return

        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = _POLICY
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "same-origin"
            await send(message)

        await self._app(scope, receive, with_policy)

    def _refusal(self, headers: Headers, scope: Scope) -> PlainTextResponse | None:
        host = headers.get("host", "")
        name = host if host.endswith("]") else host.rsplit(":", 1)[0]
        if self._hosts is not None and name.lower() not in self._hosts:
            return PlainTextResponse("this studio is called localhost\n", status_code=421)
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return PlainTextResponse("pages of other origins may not use the studio\n", status_code=403)
        if not self._login.admits(headers.get("authorization", "")):
            return PlainTextResponse(
                "name and password, please\n",
                status_code=401,
                headers={"WWW-Authenticate": 'Basic realm="amtts studio", charset="UTF-8"'},
            )
        told = headers.get("content-length", "0")
        if not told.isascii() or not told.isdigit() or int(told[:20]) > self._largest:
            return PlainTextResponse(
                f"the upload is larger than {self._largest >> 20} MiB (see amtts studio --max-upload)\n",
                status_code=413,
            )
        return None
