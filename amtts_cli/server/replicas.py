"""`amtts serve --replicas`: the application in several processes, which Ray Serve starts, watches and scales.

Ray Serve's proxy takes the connections; keys, limits of bodies, queues and deadlines are those of the application in
each replica. `build` is also the import path for a Serve config file, see docs/server.md.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amtts_cli.server.keys import Keys, read_keys
from amtts_cli.server.run import check_address
from amtts_cli.server.settings import ServerSettings
from amtts_core.errors import AmttsError
from amtts_core.memory import keep_few_kernels

if TYPE_CHECKING:
    from ray.serve import Application
    from starlette.types import ASGIApp

APPLICATION = "amtts"
_LOG = logging.getLogger("amtts.server")
_QUIET = {"log_level": "WARNING", "enable_access_log": False}
_BESIDE = 16
"""Requests beyond those that a queue holds: refusals, figures, health."""


class Replica:
    """What Ray Serve asks of a process."""

    app: Any

    def check_health(self) -> None:
        """Raises where no voice could speak; Ray Serve then tells so, or starts another process."""
        context = self.app.context
        if not context.ready:
            raise RuntimeError(context.problem)


def application(settings: ServerSettings, keys: Keys, replicas: tuple[int, int]) -> Application:
    """The application for Ray Serve.

    Args:
        settings: voices, limits and times of each replica.
        keys: who may use it.
        replicas: fewest and most; more are started while more than half of the places of a voice are taken.
    """
    from ray import serve

    def make() -> ASGIApp:
        from amtts_cli.server.app import create_app

        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr, force=True)
        keep_few_kernels()
        return create_app(settings, keys, speaks_first=True)

    device = "num_gpus" if settings.device.startswith("cuda") else "num_cpus"
    deployed = serve.deployment(
        name=APPLICATION,
        max_ongoing_requests=settings.active + settings.waiting + _BESIDE,
        autoscaling_config={
            "min_replicas": replicas[0],
            "max_replicas": replicas[1],
            "target_ongoing_requests": max(1, settings.active // 2),
        },
        ray_actor_options={device: 1},
        graceful_shutdown_timeout_s=max(1.0, settings.drain),
        max_constructor_retry_count=1,
        logging_config=_QUIET,
    )
    return deployed(serve.ingress(make)(Replica)).bind()


def build(arguments: dict[str, Any]) -> Application:
    """For a Serve config file: `import_path: amtts_cli.server.replicas:build`.

    Args:
        arguments: `voices` (name -> run or org/name on the hub), `keys` (file of name:key lines), `replicas` ([fewest,
            most]) and any other of `ServerSettings`.

    Raises:
        AmttsError: there is no key; a cluster's proxies are open to other machines.
    """
    given = dict(arguments)
    keys, replicas = given.pop("keys", None), given.pop("replicas", (1, 1))
    settings = ServerSettings(**{"host": "0.0.0.0", **given})
    read = read_keys(Path(keys) if keys else None, os.environ)
    check_address(settings, read)
    return application(settings, read, (int(replicas[0]), int(replicas[1])))


def run_replicas(
    settings: ServerSettings, *, replicas: tuple[int, int], read_keys_again: Callable[[], Keys]
) -> None:
    """Serves until SIGTERM or Ctrl-C; SIGHUP replaces the replicas by others that read keys and voices anew.

    Raises:
        AmttsError: Ray is missing or does not start, the address is taken, or no voice can speak.
    """
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # lines about requests are alike and all wanted
    try:
        from ray import serve

        from amtts_core.cluster import connected
    except ModuleNotFoundError as error:
        raise AmttsError(
            f"--replicas needs the package {error.name}", remedy="pip install 'amtts[ray]'"
        ) from None
    keys = read_keys_again()
    check_address(settings, keys)
    port = _free_port(settings.host, settings.port)
    cpus = max(replicas[1], os.cpu_count() or 1)
    logging.getLogger("ray").setLevel(logging.WARNING)
    with connected(cpus=cpus, otherwise="Leave --replicas out", show_logs=True):
        signals = _Signals()
        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        serve.start(
            http_options={"host": settings.host, "port": port, "keep_alive_timeout_s": 15},
            logging_config=_QUIET,
        )
        try:
            _deploy(settings, keys, replicas)
            _LOG.info("listening on http://%s:%d", settings.host, port)
            _LOG.info("ready: %d replica(s), at most %d", *replicas)
            while signals.next() == signal.SIGHUP:
                _renew(settings, replicas, read_keys_again)
        finally:
            serve.shutdown()


def _deploy(settings: ServerSettings, keys: Keys, replicas: tuple[int, int]) -> None:
    from ray import serve

    try:
        serve.run(application(settings, keys, replicas), name=APPLICATION, route_prefix="/")
    except RuntimeError as error:
        raise AmttsError(
            f"no replica can speak: {str(error).strip().splitlines()[-1]}",
            remedy="What replicas logged stands above",
        ) from None


def _renew(settings: ServerSettings, replicas: tuple[int, int], read_keys_again: Callable[[], Keys]) -> None:
    try:
        _deploy(settings, read_keys_again(), replicas)
    except AmttsError as error:
        _LOG.error("not all could be reloaded: %s", error)
    else:
        _LOG.info("keys, recordings and voices were reloaded")


class _Signals:
    """SIGTERM, SIGINT and SIGHUP, one after the other."""

    def __init__(self) -> None:
        self._come = threading.Semaphore(0)
        self._found: list[int] = []
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def next(self) -> int:
        """Waits for a signal."""
        while not self._come.acquire(timeout=1):
            pass
        return self._found.pop(0)

    def _on_signal(self, number: int, _: Any) -> None:
        self._found.append(number)
        self._come.release()


def _free_port(host: str, port: int) -> int:
    """The port, or a free one for 0.

    Raises:
        AmttsError: it cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise AmttsError(f"{host}:{port} cannot be listened on", remedy="Choose another --port") from None
        return int(probe.getsockname()[1])
