"""Runs the studio: address, login, log."""

from __future__ import annotations

import logging
from contextlib import suppress

from amtts_cli.server.settings import is_loopback
from amtts_cli.studio.login import VARIABLE, Login
from amtts_cli.studio.strings import Language
from amtts_core.errors import AmttsError

_LOG = logging.getLogger("amtts.studio")
_LARGEST_HEADER = 16_384


def check_address(host: str, login: Login) -> None:
    """Refuses to be open to other machines without a login.

    Raises:
        AmttsError: it would be.
    """
    if not is_loopback(host) and not login:
        raise AmttsError(
            f"--host {host} lets other machines in, and there is no login",
            remedy=f"Add --auth-file FILE with name:password lines, or set {VARIABLE}",
        )


def run(
    studio: object,
    login: Login,
    *,
    host: str,
    port: int,
    language: Language,
    hosts: tuple[str, ...],
) -> None:
    """Serves until SIGTERM or Ctrl-C. Jobs go on.

    Raises:
        AmttsError: the address cannot be listened on, or a package is missing.
    """
    check_address(host, login)
    try:
        import uvicorn

        from amtts_cli.studio.app import create_app
        from amtts_cli.studio.studio import Studio
    except ModuleNotFoundError as error:
        raise AmttsError(
            f"the studio needs the package {error.name}", remedy="pip install 'amtts[studio]'"
        ) from None
    assert isinstance(studio, Studio)
    for noisy in ("uvicorn", "httpx", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    named = hosts if is_loopback(host) and not login else None
    app = create_app(studio, login, language=language, hosts=named)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="asyncio",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=_LARGEST_HEADER,
    )
    try:
        listening = config.bind_socket()
    except SystemExit:
        raise AmttsError(f"{host}:{port} cannot be listened on", remedy="Choose another --port") from None
    listening.listen(
        config.backlog
    )  # whoever reads the address may connect, and waits until the pages are built
    address, taken = listening.getsockname()[:2]
    _LOG.info("studio of %s: http://%s:%d", studio.workspace.root, address, taken)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])
