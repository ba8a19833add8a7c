"""Opening a page on this machine, until Ctrl-C."""

import logging
import os
import sys
import webbrowser
from typing import TYPE_CHECKING

from minibert.errors import MinibertError
from minibert.loopback import open_server
from minibert.running.progress import Display

if TYPE_CHECKING:
    from flask import Flask


def as_port(given: str, key: str, value: str) -> int:
    """The number of a port."""
    if not (value.isascii() and value.isdecimal() and int(value) <= 65535):
        raise MinibertError(f"{given}: not a port. Allowed: 0 to 65535; 0 takes any that is free.")
    return int(value)


def serve(app: "Flask", name: str, port: int, browser: bool, display: Display) -> None:
    """Print the address, and answer requests until Ctrl-C. ``browser``: open it where there is a screen."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for every question helps nobody
    server = open_server(app, port)
    address = f"http://{server.host}:{server.port}/"
    display.console.print(f"{name}: {address} (Ctrl-C ends it)")
    if browser and _has_screen():
        webbrowser.open(address)
    try:
        server.serve_forever()
    finally:
        server.server_close()


def _has_screen() -> bool:
    """Whether a browser would open a window of its own: one of the terminal would take the terminal."""
    if not sys.stdout.isatty():
        return False
    return sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
