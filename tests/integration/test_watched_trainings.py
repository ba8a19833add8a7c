"""Real trainings that are watched: by a command, by one that is killed, on a server, and in a real browser.

The tests of the page need Debian's packages chromium and chromium-driver, and the extra ``browser``.
"""

import os
import shutil
import signal
import threading
from contextlib import contextmanager

import pytest

from minibert.command_line.arguments import StoreWords
from minibert.loopback import open_server
from minibert.model.saved import load_checkpoint
from minibert.run import main as run
from minibert.tracking import open_store
from minibert.tracking.live import LiveRecord, find_to_read, open_to_read
from minibert.tracking.records import Record
from minibert.watch import main as watch
from minibert.watching.server import create_app
from minibert.watching.state import look
from tests.support.copies import Copy, query
from tests.support.live_runs import add_points, add_progress, training
from tests.support.reports import copied_store

TIMES = ("seconds", "train/tokens_per_second")
"""Metrics that measure time: the only ones that two runs of one configuration do not share"""
WIDE, NARROW = 1400, 390
MARKUP = "<img src=x onerror=alert(1)> [MASK] </script>"


@pytest.fixture(scope="module")
def settings(small_settings):
    return [
        *small_settings,
        "training.steps=80",
        "training.log_every=1",
        "model.dropout=0.1",
        "diagnostics.figures=[]",
    ]


def points(folder):
    """What the only run of a store recorded, and the bytes of its last parameters."""
    store = open_store(None, folder, "minibert")
    (found,) = store.client.search_runs([store.experiment_id])
    assert found.info.status == "FINISHED"
    kept = folder / "artifacts" / found.info.run_id / "artifacts" / "checkpoints" / "step_0000080.safetensors"
    recorded = query(folder, "SELECT key, step, value FROM metrics ORDER BY key, step")
    tensors, _ = load_checkpoint(kept)
    bits = {name: tensor.tobytes() for name, tensor in tensors.items()}
    return [point for point in recorded if point[0] not in TIMES], bits


def test_a_run_that_is_watched_trains_to_the_same_bits_and_outlives_a_watcher_that_is_killed(
    door, settings, empty_database, tmp_path
):
    alone, watched = tmp_path / "alone", tmp_path / "watched"
    for folder in (alone, watched):
        folder.mkdir()
        shutil.copy(empty_database, folder)
    assert door(*settings, f"tracking.folder={alone}").returncode == 0
    words = [f"tracking.folder={watched}", "every=0.1"]
    with (
        Copy(watch, ["run=next", *words], tmp_path / "first.txt") as first,
        Copy(run, [*settings, f"tracking.folder={watched}"], tmp_path / "run.txt") as trained,
    ):
        first.until(lambda: "step " in first.printed or trained.has_ended())
        os.killpg(first.pid, signal.SIGKILL)
        assert first.wait() == -signal.SIGKILL, first.printed
        with Copy(watch, ["run=last", *words], tmp_path / "second.txt") as second:
            assert second.wait() == 0, second.printed
        assert trained.wait() == 0, trained.printed
    told = second.printed.splitlines()
    assert " finished at step 80 of 80: held-out loss " in told[-1]
    assert "held out" in first.printed or "held out" in second.printed
    assert points(watched) == points(alone)


def test_a_run_that_is_killed_is_told_as_abandoned_by_who_watches_it(settings, empty_database, tmp_path):
    shutil.copy(empty_database, tmp_path)
    words = [*settings, "training.steps=100000", f"tracking.folder={tmp_path}"]
    with Copy(run, words, tmp_path / "run.txt") as trained:
        trained.until(lambda: len(query(tmp_path, "SELECT 1 FROM metrics WHERE key = 'train/loss'")) > 3)
        watching = Copy(watch, ["run=last", f"tracking.folder={tmp_path}", "every=0.1"], tmp_path / "watch.txt")
        with watching:
            watching.until(lambda: "step " in watching.printed)
            os.killpg(trained.pid, signal.SIGKILL)
            trained.wait()
            assert watching.wait() == 1, watching.printed
    assert (
        " abandoned at step " in watching.printed and "is gone; the same command continues it" in watching.printed
    )


def test_a_run_on_a_server_is_watched_and_a_server_that_is_away_is_asked_again(tracking_server, tmp_path):
    tracking_server.start()
    store = open_store(tracking_server.uri, tmp_path, "minibert")
    words = StoreWords(str(tmp_path / "elsewhere"), tracking_server.uri, None)
    with training(store, "on a server") as planted:
        add_progress(planted, 5)
        reader = open_to_read(words)
        live = LiveRecord(reader, find_to_read(reader, "on a server"))
        state = look(live)
        assert (state.step, state.status, len(state.training[0])) == (50, "RUNNING", 5)
        recorded = Record(store, planted.id, "", continued=True)
        assert {name: live.history(name) for name in live.metric_names()} == {
            name: tuple(recorded.history(name)) for name in recorded.metric_names()
        }
        asked = []
        history = reader.client.server._client.get_metric_history
        reader.client.server._client.get_metric_history = lambda *given: asked.append(given[1]) or history(*given)
        add_points(planted, "train/loss", [1.0], first=6)
        assert look(live).training[1][-1] == 1.0
        assert asked == ["train/loss"]  # the history of what is new alone
        tracking_server.stop()
        with pytest.raises(Exception, match=r"cannot|could not"):
            live.look()
        tracking_server.start()
        planted.finish("FINISHED")
        assert look(live).status == "FINISHED"


@contextmanager
def served(record):
    server = open_server(create_app(record, 0.1), 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def planted(empty_database, tmp_path):
    """A run whose name is markup, with all that the page shows."""
    store = copied_store(empty_database, tmp_path)
    with training(store, MARKUP, steps=1000) as found:
        add_progress(found, 30)
        add_points(found, "eval/loss", [5.0, 4.5, 4.2], every=100)
        add_points(found, "eval/masked_accuracy", [0.1, 0.2, 0.3], every=100)
        for metric, value in (("baseline/unigram_entropy", 6.0), ("baseline/bigram_cross_entropy", 5.2)):
            add_points(found, metric, [value], first=0)
        for part, ratio in (("global", 1e-3), ("layer_0", 5e-4), ("embeddings", 2e-3)):
            add_points(found, f"update_ratio/{part}", [ratio / 10, ratio, ratio / 2], every=100)
        yield found


@pytest.fixture
def address(planted):
    with served(LiveRecord(open_to_read(StoreWords(str(planted.store.folder), None, None)), planted.id)) as opened:
        yield opened


def show(browser, address, width=WIDE, scheme="light"):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == NARROW}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", **features})
    browser.get(address)
    until(browser, lambda: browser.execute_script("return document.body.dataset.shown"))


def until(browser, reached):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 60, 0.02).until(lambda _: reached())


def told(browser, identity):
    return browser.find_element("id", identity).text


def severe(browser):
    return [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def test_the_page_follows_the_run_to_its_end_and_fits_its_window(browser, planted, address):
    for width in (WIDE, NARROW):
        for scheme in ("light", "dark"):
            show(browser, address, width, scheme)
            whole, visible = browser.execute_script(
                "const {scrollWidth, clientWidth} = document.documentElement; return [scrollWidth, clientWidth]"
            )
            assert whole == visible, (width, scheme)
    show(browser, address)
    assert MARKUP in browser.find_element("tag name", "h1").text
    assert browser.execute_script("return document.querySelectorAll('main img').length") == 0
    assert told(browser, "phase") == "training" and "300 of 1,000" in told(browser, "facts")
    assert "0:01:10" in told(browser, "facts")
    assert len(browser.find_elements("css selector", "#loss path")) == 2
    assert "embeddings" in told(browser, "ratios").splitlines()[1]
    planted.log({"eval/loss": float("nan")}, 400)
    planted.flush()
    until(browser, lambda: "problem: eval/loss is nan at step 400" in told(browser, "findings"))
    planted.finish("FAILED", "the loss is not finite")
    until(browser, lambda: told(browser, "phase") == "failed")
    assert told(browser, "why") == "the loss is not finite"
    assert not browser.find_element("id", "pause").is_displayed()
    assert severe(browser) == []


def test_the_page_is_used_by_the_keyboard_and_read_aloud(browser, planted, address):
    from selenium.webdriver.common.keys import Keys

    show(browser, address)
    pause = browser.find_element("id", "pause")
    pause.send_keys(Keys.ENTER)
    assert pause.get_attribute("aria-pressed") == "true"
    add_points(planted, "tokens_seen", [32_000.0], first=32)
    chart = browser.find_element("css selector", "#loss .chart")
    chart.send_keys(Keys.END)
    chart.send_keys(Keys.ARROW_LEFT)
    assert (
        browser.find_element("css selector", "#loss .readout").text
        == "step 290: training 3.200, held out 4.500 nats"
    )
    browser.find_element("id", "log").send_keys(Keys.SPACE)
    assert "300 of 1,000" in told(browser, "facts")  # nothing changes while the page is paused
    used = browser.find_elements(
        "css selector", "button, input, progress, svg[role=img], [role=region], [role=group]"
    )
    assert len(used) > 8
    nameless = [each for each in used if each.is_displayed() and not each.accessible_name]
    assert [each.get_attribute("outerHTML")[:80] for each in nameless] == []
    live = {
        each.get_attribute("id"): each
        for each in browser.find_elements("css selector", "[aria-live], [role=status], [role=alert]")
    }
    assert {"findings", "phase", "error"} <= set(live) and live["findings"].get_attribute("aria-live") == "polite"
    pause.send_keys(Keys.ENTER)
    until(browser, lambda: "320 of 1,000" in told(browser, "facts"))
    assert severe(browser) == []
