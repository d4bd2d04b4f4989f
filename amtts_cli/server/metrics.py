"""Figures of a running server, in Prometheus' text format."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30, 60, 120)
_FACTORS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_SENTENCES = (1, 2, 4, 8, 16, 32)


class Metrics:
    """Every figure of one server; labels take only names that the operator gave."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = self._counter("requests", "requests answered", "route", "method", "status")
        self.failures = self._counter("failures", "requests that failed, by kind", "kind")
        self.audio = self._counter("audio_seconds", "seconds of speech sent", "voice")
        self.work = self._counter(
            "speaking_seconds", "seconds from a request's turn to its last sample", "voice"
        )
        self.waiting = self._gauge("queue_length", "requests that wait for a turn", "voice")
        self.active = self._gauge("active_requests", "requests that are spoken", "voice")
        self.loaded = self._gauge("voice_loaded", "1 where a voice is in memory", "voice")
        self.sockets = Gauge("amtts_websockets", "open websockets", registry=self.registry)
        self.sentences = self._histogram("pass_sentences", "sentences a pass", _SENTENCES)
        self.sharing = self._histogram("pass_requests", "requests a pass", _SENTENCES)
        self.queued = self._histogram("queue_seconds", "seconds a request waited for its turn", _SECONDS)
        self.first = self._histogram(
            "first_byte_seconds", "seconds from request to first byte of sound", _SECONDS
        )
        self.factor = self._histogram("real_time_factor", "speaking seconds a second of speech", _FACTORS)

    def text(self) -> bytes:
        """The page that Prometheus reads."""
        return generate_latest(self.registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"amtts_{name}", meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"amtts_{name}", meaning, labels, registry=self.registry)

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...]) -> Histogram:
        made = Histogram(f"amtts_{name}", meaning, ["voice"], buckets=buckets, registry=self.registry)
        return made
