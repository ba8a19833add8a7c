"""The explorer's page as an application: it answers questions about one sentence."""

import threading
from typing import Any

from flask import Flask, Response, jsonify, request

from minibert.errors import MinibertError
from minibert.exploration.answers import Answers
from minibert.exploration.page.render import render, script
from minibert.loopback import guarded_app


def create_app(answers: Answers, text: str) -> Flask:
    """The page at ``/``, and ``/answer`` that takes a question as JSON. ``text`` is the first sentence.

    It answers this machine alone (:func:`minibert.loopback.guarded_app`), and a question only if it is JSON, which
    a page of the web may not send unasked.
    """
    app = guarded_app("explorer", script())
    content, alone = render(answers.checkpoints, text), threading.Lock()

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

    return app
