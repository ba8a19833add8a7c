"""The page of a run that trains as an application: it answers with how the run stands."""

import threading
import time
from typing import Any

from flask import Flask, Response, jsonify

from minibert.loopback import guarded_app
from minibert.tracking.live import LiveRecord
from minibert.watching.page.render import render, script
from minibert.watching.state import as_json, look, pause_after

MOST_POINTS = 500
"""Points of a curve: as many as a page is wide"""


def create_app(record: LiveRecord, every: float) -> Flask:
    """The page at ``/``, and the run as JSON at ``/state``: both as it stands at most ``every`` seconds ago.

    It answers this machine alone (:func:`minibert.loopback.guarded_app`). Raises :class:`MinibertError` if the
    store cannot be read at the beginning.
    """
    app, looks = guarded_app("view", script()), Looks(record, every)
    looks.state()

    @app.get("/")
    def page() -> Response:
        return Response(render(looks.state()), mimetype="text/html")

    @app.get("/state")
    def state() -> Any:
        return jsonify(looks.state())

    return app


class Looks:
    """How a run stands, for any number of readers: the store is read once for all of them."""

    def __init__(self, record: LiveRecord, every: float):
        self._record, self._every = record, every
        self._alone = threading.Lock()
        self._last: dict | None = None
        self._due = 0.0

    def state(self) -> dict:
        """The last look, or a new one if that is due. Raises :class:`MinibertError` for a store out of reach."""
        with self._alone:
            if self._last is None or (time.monotonic() >= self._due and not self._last["ended"]):
                began = time.thread_time()
                found = as_json(look(self._record), MOST_POINTS)
                pause = pause_after(time.thread_time() - began, self._every)
                self._last, self._due = found | {"pause": pause}, time.monotonic() + pause
            return self._last
