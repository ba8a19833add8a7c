"""All figures of a run, and the page that shows them."""

import logging
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from html import escape
from typing import NamedTuple

from minibert.diagnostics.plotting import document
from minibert.diagnostics.plotting.document import Picture

FIRST = ("health", "training")
"""Rooms that come first on the page"""
SETTINGS = {
    "data.name": "corpus", "model.name": "model", "model.layers": "layers", "model.hidden_size": "hidden size",
    "model.position.name": "positions", "optimizer.name": "optimizer", "optimizer.learning_rate": "learning rate",
    "masking.rate": "masking rate", "training.steps": "steps", "training.batch_size": "batch size",
    "training.sequence_length": "sequence length", "seed": "seed",
}  # fmt: skip
"""Recorded parameter -> its name at the top of the page; all others are folded in below"""
TITLES = {
    "activations/deviation": "Deviation of activations",
    "activations/range": "Range of activations",
    "activations/units": "Feed-forward units: active, dead, selective",
    "activations/unit_activity": "How often feed-forward units are active",
    "attention/entropy_share": "Attention entropy of each head",
    "attention/distance": "Attention distance of each head",
    "attention/patterns": "What each head attends to, at the end",
    "attention/patterns_over_steps": "What each head attends to, over training",
    "attention/maps": "Attention maps of all heads",
    "attention/maps_over_steps": "Attention maps over training",
    "attention/sharpest_head": "The head of the lowest entropy, with its tokens",
    "attention/sharpest_head_over_steps": "The head of the lowest entropy, over training",
    "attention/head_distance": "Distance between heads",
    "attention/head_distances": "Distances between all heads, at the end",
    "geometry/quantities": "Geometry of hidden states",
    "geometry/norm_frequency": "Norm of a token and its frequency",
    "gradients/loss_components": "What each part of the network does to the loss",
    "health/health": "Issues that were checked",
    "landscape/coarse_slices": "Loss along the last update and a random direction",
    "landscape/slices": "Loss along lines through the network",
    "landscape/surface": "Loss over a plane of two random directions",
    "landscape/path": "Loss on the way from initialisation",
    "landscape/updates": "Loss along the updates",
    "spectra/hidden_quantities": "Spread of hidden states, over training",
    "spectra/hidden_spectra": "Spectra of hidden states",
    "training/lr_range": "Range test of the learning rate",
}
"""Room and name of a drawing -> its title, if the name alone does not say enough"""

_logger = logging.getLogger(__name__)


class About(NamedTuple):
    """What the page says of the run."""

    name: str
    id: str
    started: datetime | None
    summary: str
    settings: Mapping[str, str]
    """All recorded parameters"""


def draw(record, drawings: Iterable[tuple[str, Callable]], complete: bool = True) -> dict[str, str]:
    """Draw what the record has the numbers for: ``figures/<room>/<name>.png`` and ``figures/index.html``.

    ``drawings`` are (room, function); where these are not all, the page names the command that draws the others.

    A drawing that fails is left out: a warning, the tag ``figures.failed.<room>.<name>`` and the page say why,
    and the others are drawn. Returns what failed:
    ``<room>/<name>`` -> the reason. The page holds its pictures itself: MLflow shows an artifact on its own, where
    it could not fetch others.
    """
    figures: dict[str, dict[str, Picture]] = {}
    failed: dict[str, str] = {}
    for room, function in sorted(drawings, key=lambda drawn: drawn[0] not in FIRST):
        for name, picture in _pictures(room, function, record, failed).items():
            figures.setdefault(room, {})[name] = picture
            record.log_bytes(picture.png, f"figures/{room}/{name}.png")
    if failed:
        record.set_tags({f"figures.failed.{what.replace('/', '.')}": reason for what, reason in failed.items()})
    page = _page(_about(record), figures, failed, None if complete else record.id)
    record.log_text(page, "figures/index.html")
    return failed


def _pictures(room: str, function, record, failed: dict[str, str]) -> dict[str, Picture]:
    """The pictures of a function. Those that cannot be drawn go to ``failed``, with the reason."""
    pictures: dict[str, Picture] = {}
    try:
        for name, drawn in function(record).items():
            try:
                if not re.fullmatch(r"\w[\w.-]*", name):
                    raise ValueError("the name of a drawing has letters, digits, points, dashes and underscores")
                title = TITLES.get(f"{room}/{name}") or name.replace("_", " ").capitalize()
                pictures[name] = document.picture(title, drawn)
            except Exception as error:
                _report(failed, f"{room}/{name}", error)
    except Exception as error:  # of damaged records, or of a user's module: the others are drawn
        _report(failed, f"{room}/{function.__name__}", error)
    return pictures


def _report(failed: dict[str, str], what: str, error: Exception) -> None:
    failed[what] = f"{type(error).__name__}: {error}"
    _logger.warning("%s could not be drawn: %s", what, failed[what])


def _about(record) -> About:
    run = record.entity()
    started = datetime.fromtimestamp(run.info.start_time / 1000) if run.info.start_time else None
    name = run.info.run_name or record.id
    return About(name, record.id, started, _summary(record), dict(run.data.params))


def _summary(record) -> str:
    """The last held-out loss, beside the two baselines that a run tells at its end."""
    steps, losses = record.history("eval/loss")
    if not losses:
        return "No held-out loss is recorded."
    loss, done = losses[-1], f"after {steps[-1]:,} step{'' if steps[-1] == 1 else 's'}"
    if not math.isfinite(loss):
        return f"The held-out loss is {loss} {done}."
    levels = []
    for metric, told in (
        ("unigram_entropy", "unigram entropy"),
        ("bigram_cross_entropy", "loss of a bigram model"),
    ):
        values = record.history(f"baseline/{metric}")[1]
        if values:
            levels.append(f"{values[-1]:.3f} ({told})")
    beside = f", beside {' and '.join(levels)} of the same text" if levels else ""
    return f"Held-out loss {loss:.3f} nats per predicted token {done}{beside}."


def _page(about: About, rooms: dict[str, dict[str, Picture]], failed: dict[str, str], more_of: str | None) -> str:
    started = f", started {about.started:%d %B %Y, %H:%M}" if about.started else ""
    links = "".join(f'<a href="#{escape(room)}">{escape(room.capitalize())}</a>' for room in rooms)
    more = ""
    if more_of:
        command = f"python -m minibert.inspect run={more_of} 'quantities=[]'"
        more = f'<p class="soft">There is more to draw of what is recorded: <code>{escape(command)}</code></p>'
    body = (
        f"<h1>{escape(about.name)}</h1>",
        f'<p class="soft">Run <code>{escape(about.id)}</code>{started}</p>',
        f'<p class="answer">{escape(about.summary)}</p>',
        settings_folded(about.settings),
        f"<nav>{links}</nav>",
        document.warning("Not everything could be drawn.", failed.items()),
        *(_room(room, pictures) for room, pictures in rooms.items()),
        more,
    )
    return document.page(f"Figures of {about.name}", body)


def settings_folded(settings: Mapping[str, str]) -> str:
    """The main settings of a run, and all others folded in below."""
    if not settings:
        return ""
    chosen = {word: escape(settings[key]) for key, word in SETTINGS.items() if key in settings}
    shown = "".join(f"<div><dt>{word}</dt><dd>{value}</dd></div>" for word, value in chosen.items())
    rows = "".join(
        f"<tr><td>{escape(key)}</td><td>{escape(value)}</td></tr>" for key, value in sorted(settings.items())
    )
    return f"<dl>{shown}</dl><details><summary>All settings</summary><table>{rows}</table></details>"


def _room(room: str, pictures: Mapping[str, Picture]) -> str:
    parts = [f'<h2 id="{escape(room)}">{escape(room.capitalize())}</h2>']
    parts += [document.figure(f"{room}-{name}", picture) for name, picture in pictures.items()]
    return "\n".join(parts)
