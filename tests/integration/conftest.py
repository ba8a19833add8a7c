"""Fixtures of the tests that need other processes."""

import shutil
from importlib import import_module

import pytest

from tests.support.tracking_server import TrackingServer

SERVED = "minibert.serving.mlflow_model"


@pytest.fixture(scope="session", autouse=True)
def small_models(tmp_path_factory):
    """Models carry one file of code: to store all of the package for each run would take a third of its time.

    What MLflow writes beside a network is made once for all stores, not for each.
    """
    package = tmp_path_factory.mktemp("code") / "minibert"
    package.mkdir()
    (package / "__init__.py").write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{SERVED}.PACKAGE", package)
        patch.setattr(f"{SERVED}.KEPT", tmp_path_factory.mktemp("served"))  # a whole path takes the store's place
        yield


@pytest.fixture(scope="module")
def whole_models(small_models):
    """Models carry all code, as those of a user do."""
    from minibert.config import PACKAGE

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_module(SERVED), "PACKAGE", PACKAGE)
        yield


@pytest.fixture(scope="module")
def tracking_server(empty_database, tmp_path_factory):
    """An MLflow server that is not started yet."""
    folder = tmp_path_factory.mktemp("server")
    server = TrackingServer(folder, shutil.copy(empty_database, folder / "mlflow.db"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """Debian's Chromium without a window, driven by Selenium. Its logs have the console and every request."""
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for word in ("--headless=new", "--no-sandbox", f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    yield opened
    opened.quit()


@pytest.fixture(scope="module")
def browser(chromium):
    """The browser with an empty page, and with nothing in its logs."""
    chromium.get("about:blank")
    for log in ("browser", "performance"):
        chromium.get_log(log)
    return chromium
