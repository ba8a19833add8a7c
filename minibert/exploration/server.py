"""The page on this machine alone: a small server that answers no other host."""

import socket
import threading
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException
from werkzeug.serving import BaseWSGIServer, make_server

from minibert.errors import MinibertError
from minibert.exploration.answers import Answers
from minibert.exploration.page.render import policy, render

LOOPBACK = "127.0.0.1"
HOSTS = [LOOPBACK, "localhost"]
MOST_BYTES = 64 * 1024
"""Bytes of one question"""


def create_app(answers: Answers, text: str) -> Flask:
    """The page at ``/``, and ``/answer`` that takes a question as JSON. ``text`` is the first sentence.

    A request is answered only if its Host header names this machine: a page of the web whose name was made to lead
    here gives its own. It is answered only if it is JSON, which such a page may not send unasked. No header allows
    another origin.
    """
    app = Flask(__name__, static_folder=None)
    app.config.update(TRUSTED_HOSTS=HOSTS, MAX_CONTENT_LENGTH=MOST_BYTES)
    content, alone = render(answers.checkpoints, text), threading.Lock()

    @app.before_request
    def refuse_other_hosts() -> None:
        _ = request.host  # raises for a host that is not trusted

    @app.get("/")
    def page() -> Response:
        return Response(content, mimetype="text/html")

    @app.post("/answer")
    def answer() -> Any:
        try:
            question = request.get_json()
        except RecursionError:
            raise MinibertError("question: is nested too deeply. Allowed: one JSON object.") from None
        with alone:  # one question at a time: each uses all cores
            return jsonify(answers(question))

    @app.errorhandler(MinibertError)
    def refused(error: MinibertError) -> Any:
        return jsonify(error=str(error))  # an answer: a browser would log another status as a fault of the page

    @app.errorhandler(HTTPException)
    def no_question(error: HTTPException) -> Any:
        return jsonify(error=f"{error.name}: {error.description}"), error.code

    @app.errorhandler(Exception)
    def broken(error: Exception) -> Any:
        app.logger.exception("a question could not be answered")
        return jsonify(error=f"The explorer failed: {type(error).__name__}: {error}"), 500

    @app.after_request
    def guard(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = policy("'self'")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"
        return response

    return app


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
