"""Makes the pictures of the documentation:  python -m tests.support.pictures mlruns masking_sweep

They show the pages of a finished sweep, and of the newest run of the store, as Chromium draws them: report,
figures, explorer, MLflow. Of the pictures that are kept, the newest run was ``python -m minibert.run model=tiny
training.steps=300 masking.rate=0.4``.

Needs Debian's packages chromium and chromium-driver, and the extra ``browser``.
"""

import base64
import io
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from minibert.explore import main as explore
from minibert.serving.loading import find_run
from minibert.tracking.lookup import find_run_id
from minibert.tracking.store import open_existing_store
from tests.support.tracking_server import TrackingServer

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
SENTENCE = "we must keep the [MASK] of the united states"
WIDTH, HEIGHT, SCALE = 1000, 640, 1.25
"""Of a picture, in pixels of CSS, and how many pixels of the picture each is"""
SPAN = """
const box = document.querySelector(arguments[0]).getBoundingClientRect();
return [box.top + scrollY, box.bottom + scrollY];
"""
"""Where an element of a page begins and ends"""
PATIENCE = 300
"""Seconds for a page to be ready, on a busy machine"""
GAP = 24
"""Pixels between the parts of a picture"""
COLOURS = 128
LARGEST = 150_000
"""Bytes"""
CHARTS = "input[placeholder='Search metric charts']"
CLOSED = {"mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true", "mlflow.assistant.panelOpen_v1": "false"}
"""What MLflow's page remembers when its assistant has been closed"""
REPORT = ("h1", ".answer", "figure.interactive")
FIGURES = ("h1", ".answer", "#attention-patterns_over_steps")


@contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    """A browser without a window, in light colours."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for word in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(word)
    browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver") or ""))
    metrics = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": SCALE, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        yield browser
    finally:
        browser.quit()


def take(browser: webdriver.Chrome, name: str, ready: str, parts: tuple[str, ...] = ()) -> None:
    """The picture of the open page, once the script ``ready`` gives something true: its beginning, or these
    parts of it (CSS selectors), one below the other."""
    WebDriverWait(browser, PATIENCE, 0.1).until(lambda _: browser.execute_script(f"return {ready}"))
    spans = [browser.execute_script(SPAN, part) for part in parts] or [(0, HEIGHT)]
    shots = [_shot(browser, *span) for span in spans]
    height = sum(shot.height + GAP for shot in shots)
    picture = Image.new("RGB", (shots[0].width, height), shots[0].getpixel((0, 0)))
    top = GAP // 2
    for shot in shots:
        picture.paste(shot, (0, top))
        top += shot.height + GAP
    file = FOLDER / f"{name}.png"
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
    size = file.stat().st_size
    print(f"{file}: {size / 1000:.0f} kB")
    if size > LARGEST:
        raise SystemExit(f"{file}: {size} bytes. Allowed: {LARGEST}. Take fewer COLOURS or a smaller SCALE.")


def _shot(browser: webdriver.Chrome, top: float, bottom: float) -> Image.Image:
    clip = {"x": 0, "y": top, "width": WIDTH, "height": bottom - top, "scale": 1}
    taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
    return Image.open(io.BytesIO(base64.b64decode(taken["data"]))).convert("RGB")


def main(folder: str, study: str) -> None:
    store = open_existing_store(None, folder)
    run = find_run_id(store.client, "last")
    with chromium() as browser, tempfile.TemporaryDirectory() as made:
        browser.get((Path(folder) / "reports" / study / "index.html").resolve().as_uri())
        take(browser, "report", "document.querySelector('figure.interactive[data-drawn]')", REPORT)
        browser.get((find_run(run, folder=folder).folder / "figures" / "index.html").resolve().as_uri())
        take(browser, "figures", "[...document.images].every(image => image.complete)", FIGURES)
        page = Path(made) / "page.html"
        if explore([f"run={run}", f"text={SENTENCE}", f"html={page}", f"tracking.folder={folder}"]):
            raise SystemExit("the explorer could not be written")
        browser.get(page.as_uri())
        take(browser, "explorer", "document.body.dataset.shown")
        server = TrackingServer(Path(folder), Path(folder) / "mlflow.db")
        try:
            server.start()
            _take_mlflow(browser, server.uri, f"experiments/{store.experiment_id}/runs/{run}")
        finally:
            server.close()


def _take_mlflow(browser: webdriver.Chrome, uri: str, run: str) -> None:
    """Loss, rate and speed of a run as MLflow charts them, without its assistant."""
    browser.get(uri)
    for key, value in CLOSED.items():
        browser.execute_script("localStorage.setItem(arguments[0], arguments[1])", key, value)
    browser.get(f"{uri}/?{run}#/{run}/model-metrics?workflowType=machine_learning")  # another address: a new start
    search = WebDriverWait(browser, PATIENCE, 0.1).until(lambda _: browser.find_element(By.CSS_SELECTOR, CHARTS))
    search.send_keys("train/")
    browser.execute_script(
        "document.head.insertAdjacentHTML('beforeend', '<style>.modebar {display: none}</style>')"
    )
    take(browser, "mlflow", "document.querySelectorAll('.js-plotly-plot').length >= 3")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("Give a store and a finished sweep: python -m tests.support.pictures mlruns NAME")
    main(*sys.argv[1:])
