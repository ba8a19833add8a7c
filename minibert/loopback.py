"""Pages on this machine alone: a small server that answers no other host, and the policy of such pages."""

import base64
import hashlib
import socket
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException
from werkzeug.serving import BaseWSGIServer, make_server

from minibert.errors import MinibertError

LOOPBACK = "127.0.0.1"
HOSTS = [LOOPBACK, "localhost"]
MOST_BYTES = 64 * 1024
"""Bytes of one question"""


def guarded_app(called: str, script: str) -> Flask:
    """An application without pages, to which they are added. ``called``: its name in errors. ``script``: that of
    its pages, which run no other.

    A request is answered only if its Host header names this machine: a page of the web whose name was made to lead
    here gives its own. No header allows another origin, so a page of the web cannot read an answer. What goes
    wrong is one message: ``{"error": ...}``.
    """
    app = Flask(__name__, static_folder=None)
    app.config.update(TRUSTED_HOSTS=HOSTS, MAX_CONTENT_LENGTH=MOST_BYTES)
    allowed = policy(script, "'self'")

    @app.before_request
    def refuse_other_hosts() -> None:
        _ = request.host  # raises for a host that is not trusted

    @app.errorhandler(MinibertError)
    def refused(error: MinibertError) -> Any:
        return jsonify(error=str(error))  # an answer: a browser would log another status as a fault of the page

    @app.errorhandler(HTTPException)
    def no_question(error: HTTPException) -> Any:
        return jsonify(error=f"{error.name}: {error.description}"), error.code

    @app.errorhandler(Exception)
    def broken(error: Exception) -> Any:
        app.logger.exception("a question could not be answered")
        return jsonify(error=f"The {called} failed: {type(error).__name__}: {error}"), 500

    @app.after_request
    def guard(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = allowed
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"
        return response

    return app


def policy(script: str, connect: str) -> str:
    """A Content-Security-Policy under which a page runs its own script, and loads nothing from elsewhere."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        f"connect-src {connect}; base-uri 'none'; form-action 'none'"
    )


def open_server(app: Flask, port: int) -> BaseWSGIServer:
    """A server on the loopback address. Port 0 takes any that is free.

    Raises :class:`MinibertError` for a port that is in use or not allowed.
    """
    opened = socket.socket()
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((LOOPBACK, port))
        opened.listen()
    except (OSError, OverflowError) as error:
        opened.close()
        raise MinibertError(
            f"port={port}: cannot be opened ({error}). Allowed: another one, or port=0 for any that is free."
        ) from error
    return make_server(LOOPBACK, opened.getsockname()[1], app, threaded=True, fd=opened.detach())
