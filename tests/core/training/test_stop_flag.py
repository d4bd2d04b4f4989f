"""Signals ask the loop to stop; a second one ends at once."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from amtts_core.training.stop_flag import StopFlag, exit_code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
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


def test_both_signals_say_what_happens(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "_exit", lambda code: None)
    with StopFlag(lambda: "steps 3 to 5"):
        signal.raise_signal(signal.SIGINT)
        assert "saving a checkpoint after this step" in capfd.readouterr().err
        signal.raise_signal(signal.SIGINT)
    assert "lost: steps 3 to 5" in capfd.readouterr().err


def test_a_program_started_with_nohup_ignores_a_closed_terminal() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopFlag() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert stop.reason == ""
    finally:
        signal.signal(signal.SIGHUP, before)


def test_exit_codes_are_those_of_a_shell() -> None:
    assert [exit_code(reason) for reason in ("SIGINT", "SIGTERM", "finished", "early stop")] == [
        130,
        143,
        0,
        0,
    ]


def test_outside_the_main_thread_it_does_nothing() -> None:
    reasons: list[str] = []

    def work() -> None:
        with StopFlag() as stop:
            reasons.append(stop.reason)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert reasons == [""]
