"""`python -m recommender_serving`: the service, one process, one event loop."""

import argparse
import gc
import logging
import os
import socket
import sys
from pathlib import Path
from typing import get_args

from recommender_serving.access.keys import describe_new_key
from recommender_serving.access.scopes import Scope
from recommender_serving.engine.config import ApiSettings, ConfigError
from recommender_serving.logs import configure_logs
from recommender_serving.settings import Settings, load_settings

_DESCRIPTION = """\
Serves live recommendations over HTTP.

Reads the champion below storage.root, follows the Kafka topic streaming.topic from the champion's
position on, and swaps in every new champion while it serves. Every setting is a key of config.yaml
and can be overridden by an environment variable, e.g. RECOMMENDER__API__PORT=8080.
"""
_SHUTDOWN_SECONDS = 10
_GARBAGE_COLLECTION = (700, 10, 1_000)
"""A full collection stops every request for some 20 ms; models and lists that are replaced do not wait for one."""


class PortTakenError(Exception):
    """The configured address cannot be listened on."""


def main(arguments: list[str] | None = None) -> int:
    """Run the service until it is told to stop; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m recommender_serving",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config", type=Path, help="configuration file (default: $RECOMMENDER_CONFIG, else config.yaml)"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    make_key = commands.add_parser("new-key", help="make an API key and print it with the entry for config.yaml")
    make_key.add_argument("--name", required=True, help="who is going to use it")
    make_key.add_argument(
        "--scopes", nargs="+", choices=get_args(Scope), default=["read"], help="what it may do (default: read)"
    )
    options = parser.parse_args(arguments)
    if options.command == "new-key":
        sys.stdout.write(describe_new_key(options.name, options.scopes))
        return 0
    try:
        settings = load_settings(options.config)
        configure_logs(settings.logging)
        listener = listen(settings.api)
    except (ConfigError, PortTakenError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    serve(settings, listener)
    return 0


def listen(api: ApiSettings) -> socket.socket:
    """Take the configured address.

    Raises:
        PortTakenError: naming the setting to change.
    """
    family = socket.AF_INET6 if ":" in api.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((api.host, api.port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise PortTakenError(
            f"api.port: cannot listen on {api.host}:{api.port} ({error.strerror}); choose another api.port, "
            "e.g. RECOMMENDER__API__PORT=8080, or another api.host"
        ) from error
    return listener


def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve on a listening socket until SIGINT or SIGTERM."""
    # One thread per replica beside the event loop; numpy reads this when it is imported, hence the late imports.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import uvicorn  # noqa: PLC0415

    from recommender_serving.app import create_app  # noqa: PLC0415

    app = create_app(settings)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the peer's own address decides what it may do
        log_config=None,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    host, port = listener.getsockname()[:2]
    logging.getLogger("recommender_serving").info("listening on http://%s:%d", host, port)
    server = uvicorn.Server(config)
    gc.collect()
    gc.freeze()  # what is loaded by now stays, and a full collection need not look at it: 28 ms less
    gc.set_threshold(*_GARBAGE_COLLECTION)
    app.state.is_stopping = lambda: server.should_exit  # streams that never end by themselves ask
    server.run(sockets=[listener])


if __name__ == "__main__":
    sys.exit(main())
