"""Signals ask the loop to stop; a second one ends at once."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from amtts_core.training.stop_flag import StopFlag


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_remembered_and_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with StopFlag() as stop:
        assert stop.reason == ""
        signal.raise_signal(number)
        assert stop.reason == number.name
    assert signal.getsignal(number) is before


def test_handlers_come_back_after_an_exception() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RuntimeError), StopFlag():
        raise RuntimeError
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_second_signal_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    with StopFlag():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    assert codes == [128 + signal.SIGTERM]


def test_outside_the_main_thread_it_does_nothing() -> None:
    reasons: list[str] = []

    def work() -> None:
        with StopFlag() as stop:
            reasons.append(stop.reason)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert reasons == [""]
