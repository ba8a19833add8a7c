"""Notes for MLflow's own pages about runs and sweeps, and the addresses of these pages.

MLflow keeps what it shows as tags; a note in Markdown stands above the parameters of a run. It shows a run under
one parent only, so the note of a sweep links to all of its runs, those that were found finished included.
"""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlparse

from minibert.tracking.history import Command
from minibert.tracking.lookup import short_id
from minibert.tracking.results import BIGRAM, FIGURES, LOSS, Result, beside, losses
from minibert.tracking.status import Status
from minibert.tracking.store import Store, store_errors
from minibert.tracking.sweeps import Child, Sweep
from minibert.tracking.views import save_views

NOTE = "mlflow.note.content"
WORKFLOW = "workflowType=machine_learning"
"""MLflow's pages are for this or for applications of language models, whose traces a new browser shows first: the
address decides it, whatever the kind of the experiment"""
CHARTS = {"held-out loss": LOSS, "training loss": "train/loss", "gradient norm": "gradient_norm/global"}
"""The charts that the note of a run links to, of about a hundred metrics"""
EVALUATION, REPORT = "evaluation.html", "report/index.html"
"""Artifacts: what a run was asked, and what a sweep answers"""
MOST_ROWS = 40
"""Runs in the table of a sweep's note: MLflow keeps some thousand characters of a tag."""
MOST_COMMANDS, LONGEST_COMMAND = 5, 300
"""In the note of a sweep; its artifact ``history.json`` has all"""
SECTIONS = (
    ("`eval/`", "on held-out text; `baseline/` is what counting words reaches there"),
    ("`train/`", "loss, learning rate and speed; `gradient_norm/`, norms by part"),
    ("`health/`", "findings; other names are diagnostics, `<diagnostic>/<quantity>/<part>`"),
)


def open_command(store: Store) -> str | None:
    """The command that opens MLflow's pages on the store, for a shell; None where a server has them."""
    return None if _is_server(store.uri) else f"mlflow ui --backend-store-uri {shlex.quote(store.uri)}"


def page(store: Store, run_id: str) -> str:
    """The address of the page of a run or sweep."""
    return f"{_server(store)}{_path(store, run_id)}?{WORKFLOW}"


def comparison(store: Store, run_ids: Sequence[str]) -> str:
    """The address of the page that sets runs side by side."""
    return f"{_server(store)}{_comparison_path(store, run_ids)}"


def describe_run(run, result: Result) -> None:
    """Give an open run the note that its page begins with."""
    charts = {label: _chart_path(run.store, run.id, metric) for label, metric in CHARTS.items()}
    lines = [f"**{escaped(result.line().partition(', figures in ')[0])}**", "", f"Charts: {_linked(charts)}"]
    pages = {"figures": FIGURES} if result.figures else {}
    pages |= {"evaluation": EVALUATION} if EVALUATION in run.artifacts("") else {}
    if pages:
        links = {label: _artifact_path(run.store, run.id, name) for label, name in pages.items()}
        lines += ["", f"Pages: {_linked(links)}"]
    lines += ["", "Metrics, as the charts group them:", ""]
    lines += [f"- {names}: {meaning}" for names, meaning in SECTIONS]
    run.set_tags({NOTE: "\n".join(lines)})


def describe_sweep(
    sweep: Sweep,
    study: Mapping[str, str | None],
    names: Mapping[str, str],
    commands: Sequence[Command] = (),
    keys: Sequence[str] = (),
) -> None:
    """Give a sweep its summary as metrics, saved views of its runs, and a note with links to them.

    ``names``: hash of the configuration -> name of the run. ``keys``: what the runs
    differ in, beside the keys of the first command.
    ``sweep/loss`` is the final held-out loss of the runs in the order of their ends, with the best and the mean so
    far: step 1 is the first. Only what is new since the sweep was last described is recorded.
    """
    newest = sweep.newest()
    members = [(name, newest.get(key)) for key, name in names.items()]
    finished = [child for _, child in members if child is not None and child.status == Status.FINISHED]
    _log_summary(sweep, sorted(finished, key=lambda child: child.ended or 0.0))
    measured = {metric for child in finished for metric in child.metrics}
    varying = list(dict.fromkeys([*keys, *sweep.keys()]))
    shown = varying and not sweep.store.is_away  # a view belongs to the experiment, and no journal keeps it
    links = save_views(sweep, varying, study.get("metric") or LOSS, measured) if shown else {}
    if finished:
        links["Report"] = _artifact_path(sweep.store, sweep.id, REPORT)
    sweep.set_tags({NOTE: _sweep_note(sweep, study, members, commands, links)})


def escaped(text: str) -> str:
    """A text that Markdown shows as it is, in a table as well."""
    return re.sub(r"([\\`*_{}\[\]()#+!|<>~&$-])", r"\\\1", " ".join(text.split()))


def _log_summary(sweep: Sweep, finished: Sequence[Child]) -> None:
    from mlflow.entities import Metric

    known = sweep.history("sweep/loss")[0] if "sweep/loss" in sweep.metric_names("sweep/") else []
    scored = [child for child in finished if LOSS in child.metrics]
    values = [child.metrics[LOSS] for child in scored]
    points = []
    for step in range(len(known) + 1, len(values) + 1):
        so_far, at = values[:step], int(1000 * (scored[step - 1].ended or 0))
        summary = {"loss": so_far[-1], "best_loss": min(so_far), "mean_loss": sum(so_far) / step, "finished": step}
        points += [Metric(f"sweep/{name}", float(value), at, step) for name, value in summary.items()]
    with store_errors(sweep.store.uri, f"summarise sweep {sweep.id}"):
        for start in range(0, len(points), 1000):
            sweep.store.client.log_batch(sweep.id, metrics=points[start : start + 1000])


def _sweep_note(
    sweep: Sweep,
    study: Mapping[str, str | None],
    members: Sequence[tuple[str, Child | None]],
    commands: Sequence[Command],
    links: Mapping[str, str],
) -> str:
    question, hypothesis = study.get("question"), study.get("hypothesis")
    lines = [f"**{escaped(question)}**", ""] if question else []
    lines += [escaped(hypothesis), ""] if hypothesis else []
    compared = [child.id for _, child in members[:MOST_ROWS] if child is not None]
    done = sum(child is not None and child.status == Status.FINISHED for _, child in members)
    links = {**links, "Side by side": _comparison_path(sweep.store, compared)}
    lines += [
        f"{done} of {len(members)} runs finished. {_linked(links)}",
        "",
        "| run | id | status | held-out loss |",
        "| --- | --- | --- | ---: |",
    ]
    for name, child in members[:MOST_ROWS]:
        if child is None:
            lines.append(f"| {escaped(name)} | | not started | |")
            continue
        link = f"[{short_id(child.id)}]({_path(sweep.store, child.id)})"
        loss = losses(child.metrics)["loss"]
        shown = "" if loss is None else f"{loss:.3f}"
        lines.append(f"| {escaped(name)} | {link} | {child.status.lower()} | {shown} |")
    if len(members) > MOST_ROWS:
        lines += ["", f"and {len(members) - MOST_ROWS} more"]
    scored = next((child for _, child in members if child is not None and BIGRAM in child.metrics), None)
    if scored is not None:
        found = losses(scored.metrics)
        lines += ["", f"On the same text:{beside(found['unigram'], found['bigram'])}"]
    if commands:
        lines += ["", "Commands:", "", *map(_command_line, commands[-MOST_COMMANDS:])]
    return "\n".join(lines)


def _linked(links: Mapping[str, str]) -> str:
    return " · ".join(f"[{label}]({path})" for label, path in links.items())


def _command_line(command: Command) -> str:
    given = escaped("minibert run " + shlex.join(command.words)[:LONGEST_COMMAND])
    who = escaped(f"{command.user} on {command.host}, minibert {command.version}, commit {command.commit[:8]}")
    return f"- {command.time[:16].replace('T', ' ')} UTC: {given} ({len(command.runs)} runs; {who})"


def _path(store: Store, run_id: str) -> str:
    return f"/#/experiments/{store.experiment_id}/runs/{run_id}"


def _artifact_path(store: Store, run_id: str, name: str) -> str:
    return f"{_path(store, run_id)}/artifacts/{name}?{WORKFLOW}"


def _comparison_path(store: Store, run_ids: Sequence[str]) -> str:
    """The page that sets runs side by side, whatever their parents."""
    return "/#/compare-runs?" + _query({"runs": list(run_ids), "experiments": [store.experiment_id]})


def _query(words: Mapping[str, object]) -> str:
    return "&".join(f"{key}={quote(json.dumps(value))}" for key, value in words.items())


def _chart_path(store: Store, run_id: str, metric: str) -> str:
    words = {"runs": [run_id], "experiments": [store.experiment_id], "metric": metric}
    return "/#/metric?" + _query(words | {"plot_metric_keys": [metric], "x_axis": "step"})


def _server(store: Store) -> str:
    return store.uri.rstrip("/") if _is_server(store.uri) else "http://127.0.0.1:5000"


def _is_server(uri: str) -> bool:
    return urlparse(uri).scheme in ("http", "https")
