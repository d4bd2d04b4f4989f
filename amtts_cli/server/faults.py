"""Faults that FastAPI finds, in OpenAI's format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from amtts_cli.server.errors import ApiError, invalid
from amtts_cli.server.front import error_response

_CODES = {404: "not_found", 405: "method_not_allowed", 400: "invalid_body"}


def validation_error(errors: Sequence[Any]) -> ApiError:
    """The first fault of a body; what the client sent is not repeated."""
    if not errors:
        return invalid("the request cannot be read")
    first = errors[0]
    place = [str(part) for part in first.get("loc", ()) if part not in ("body", "query", "path")]
    field = ".".join(place)[:64]
    message = str(first.get("msg", "cannot be used")).removeprefix("Value error, ")
    if first.get("type") == "extra_forbidden":
        return invalid(f"unknown parameter '{field}'", param=field, code="unknown_parameter")
    if first.get("type") in ("json_invalid", "model_attributes_type") or not field:
        return invalid(f"the body is no JSON object that can be read: {message}", code="invalid_body")
    return invalid(f"{field}: {message}", param=field)


def add_fault_handlers(app: FastAPI) -> None:
    """Lets every refusal have OpenAI's format."""

    @app.exception_handler(RequestValidationError)
    async def of_body(request: Request, error: RequestValidationError) -> Response:
        return error_response(validation_error(error.errors()))

    @app.exception_handler(HTTPException)
    async def of_route(request: Request, error: HTTPException) -> Response:
        code = _CODES.get(error.status_code, "invalid_request")
        response = error_response(ApiError(error.status_code, str(error.detail), code=code))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(ApiError)
    async def of_speech(request: Request, error: ApiError) -> Response:
        if error.status == 499:
            raise error  # nobody reads an answer
        return error_response(error)
