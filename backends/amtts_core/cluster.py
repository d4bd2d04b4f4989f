"""Ray on this machine for the time being, or the cluster that RAY_ADDRESS names."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any

import ray

from amtts_core.errors import AmttsError

_ANSWER = 10.0
"""Seconds that a cluster has to answer."""
_STORE = 512 << 20
"""Bytes of Ray's shared memory, on this machine."""


@contextlib.contextmanager
def connected(*, cpus: int, otherwise: str, show_logs: bool = False) -> Iterator[None]:
    """A running Ray: the one this process is connected to, RAY_ADDRESS's, or one of this machine that ends with it.

    Args:
        cpus: that a Ray of this machine hands out.
        otherwise: what to do where Ray does not start on this machine.
        show_logs: what workers log comes out here too.

    Raises:
        AmttsError: the cluster does not answer, or Ray does not start.
    """
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS", "")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report its use over the network
    quiet: dict[str, Any] = {"log_to_driver": show_logs, "logging_level": logging.ERROR}
    try:
        if address and address != "local":
            _knock(address)
            ray.init(address=address, **quiet)
        else:
            os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's 15 starves on a machine with other work
            ray.init(
                address="local",
                num_cpus=cpus,
                include_dashboard=False,
                object_store_memory=_STORE,
                _node_ip_address="127.0.0.1",  # nobody else can connect
                **quiet,
            )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        told = (str(error).strip() or type(error).__name__).splitlines()[0]
        where = f"the cluster at RAY_ADDRESS={address} cannot be reached" if address else "Ray does not start"
        remedy = "See `ray status --address ADDRESS`" if address else otherwise
        raise AmttsError(f"{where}: {told}", remedy=remedy) from None
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Finds out at once that nobody listens, where Ray would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER).close()
