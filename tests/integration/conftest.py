"""Fixtures of the tests that need other processes."""

import shutil

import pytest

from tests.support.tracking_server import TrackingServer


@pytest.fixture(scope="module")
def tracking_server(empty_database, tmp_path_factory):
    """An MLflow server that is not started yet."""
    folder = tmp_path_factory.mktemp("server")
    server = TrackingServer(folder, shutil.copy(empty_database, folder / "mlflow.db"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
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
