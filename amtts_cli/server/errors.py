"""Errors as OpenAI's clients expect them: {"error": {"message", "type", "param", "code"}}."""

from __future__ import annotations

import math
from typing import Any


class ApiError(Exception):
    """A refusal that a client can act on.

    Args:
        status: of HTTP.
        message: one line.
        code: for programs, such as `voice_not_found`.
        param: the field at fault.
        retry_after: seconds after which another try makes sense.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Retry-After, and the scheme of authorization with 401."""
        found = {}
        if self.retry_after is not None:
            found["retry-after"] = str(max(1, math.ceil(self.retry_after)))
        if self.status == 401:
            found["www-authenticate"] = "Bearer"
        return found

    def body(self) -> dict[str, Any]:
        """What the client is sent."""
        return {
            "error": {
                "message": self.message,
                "type": _kind(self.status),
                "param": self.param,
                "code": self.code,
            }
        }


class CutOff(Exception):
    """An answer that has begun and cannot be ended.

    Args:
        refusal: why.
    """

    def __init__(self, refusal: ApiError) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def invalid(message: str, *, param: str | None = None, code: str = "invalid_value") -> ApiError:
    """A request that cannot be answered as it is."""
    return ApiError(400, message, code=code, param=param)


def late(seconds: float) -> ApiError:
    """An answer that did not come in time."""
    return ApiError(504, f"the speech was not done within {seconds:g} s", code="deadline_exceeded")


def busy(message: str, retry_after: float, *, code: str = "queue_full") -> ApiError:
    """A server that has no place now."""
    return ApiError(429, message, code=code, retry_after=retry_after)


def unavailable(message: str, retry_after: float, *, code: str = "voice_unavailable") -> ApiError:
    """A server that cannot do it now."""
    return ApiError(503, message, code=code, retry_after=retry_after)


def _kind(status: int) -> str:
    if status == 401:
        return "authentication_error"
    if status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if status < 500 else "server_error"
