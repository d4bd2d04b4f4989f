"""HTTP connections that do not wait forever for a client that does not send, or does not read."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


def patient_protocol(*, send_within: float, read_within: float) -> type[H11Protocol]:
    """uvicorn's protocol with two more limits.

    Args:
        send_within: seconds in which the headers of a request have to be there.
        read_within: seconds that a client may leave sound unread that waits for it.
    """

    class PatientProtocol(H11Protocol):
        _headers_due: asyncio.TimerHandle | None = None
        _reading_due: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._headers_due = self.loop.call_later(send_within, self._give_up)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            waiting = self.cycle is None or self.cycle.response_complete
            if not waiting:
                self._cancel_headers_timer()
            elif self._headers_due is None:
                self._headers_due = self.loop.call_later(send_within, self._give_up)

        def connection_lost(self, exc: Exception | None) -> None:
            self._cancel_headers_timer()
            self._cancel_reading_timer()
            super().connection_lost(exc)

        def handle_websocket_upgrade(self, event: Any) -> None:
            self._cancel_headers_timer()
            super().handle_websocket_upgrade(event)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._reading_due = self.loop.call_later(read_within, self._give_up)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._cancel_reading_timer()

        def _give_up(self) -> None:
            self.transport.abort()

        def _cancel_headers_timer(self) -> None:
            if self._headers_due is not None:
                self._headers_due.cancel()
                self._headers_due = None

        def _cancel_reading_timer(self) -> None:
            if self._reading_due is not None:
                self._reading_due.cancel()
                self._reading_due = None

    return PatientProtocol
