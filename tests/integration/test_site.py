"""The documentation as a site: it builds without a warning, leads nowhere else by itself, and shows every page.

Needs the extra `docs`; what is looked at in a browser needs Debian's chromium and chromium-driver besides, and the
extra `browser`.
"""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from html import unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")
pytest.importorskip("material", reason="the extra `docs` is not installed")

CHECKOUT = Path(__file__).resolve().parents[2]
FACES = (
    "minibert",
    "minibert.diagnostics",
    "minibert.evaluation",
    "minibert.model",
    "minibert.data",
    "minibert.tracking",
)
LOADED = {("script", "src"), ("link", "href"), ("img", "src"), ("source", "src"), ("iframe", "src")}
"""What a browser fetches by itself"""
WIDE, NARROW = 1400, 390
LOOKED_AT = (
    "", "running/", "mathematics/attention/", "mathematics/adafactor/", "experiments/", "statistics/",
    "experiments/ten_minutes/", "reference/diagnostics/", "glossary/", "source/minibert/model/norms.py/",
)  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=CHECKOUT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert (built.returncode, built.stdout + built.stderr) == (0, "")
    return folder


class Page:
    """The links, the anchors, and what a browser fetches for a page."""

    def __init__(self, path: Path):
        text = path.read_text(encoding="utf-8")
        self.anchors = {unescape(found) for found in re.findall(r'\s(?:id|name)="([^"]+)"', text)}
        self.links = {unescape(found) for found in re.findall(r'<a\s[^>]*?href="([^"]+)"', text)}
        self.loads = {
            unescape(found[1])
            for element, attribute in LOADED
            for tag in re.findall(rf"<{element}\s[^>]*>", text)
            if (found := re.search(rf'\s{attribute}="([^"]+)"', tag)) and not re.search(r'rel="(prev|next)"', tag)
        }


@pytest.fixture(scope="module")
def pages(site):
    """Path in the folder -> page"""
    return {path.relative_to(site): Page(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}


def test_every_link_and_anchor_leads_somewhere(site, pages):
    wrong = []
    for path, page in pages.items():
        for link in page.links | page.loads:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (site / path.parent / unquote(parts.path)).resolve() if parts.path else site / path
            target = target / "index.html" if target.is_dir() else target
            anchors = (
                pages[target.relative_to(site)].anchors if target.suffix == ".html" and target.exists() else ()
            )
            if not target.exists() or (parts.fragment and unquote(parts.fragment) not in anchors):
                wrong.append(f"{path}: {link}")
    assert wrong == []


def test_nothing_is_loaded_from_elsewhere(site, pages):
    loaded = {(str(path), link) for path, page in pages.items() for link in page.loads if urlsplit(link).netloc}
    assert loaded == set()
    styles = [
        path for path in site.rglob("*.css") if "url(http" in path.read_text() or "@import" in path.read_text()
    ]
    assert styles == []


def test_every_page_of_the_repository_is_in_the_navigation(site, pages):
    home = pages[Path("index.html")]
    linked = {unquote(urlsplit(link).path) for link in home.links}
    written = [*CHECKOUT.glob("docs/**/*.md"), *CHECKOUT.glob("experiments/**/*.md")]
    addresses = {
        path: path.relative_to(CHECKOUT)
        .as_posix()
        .removeprefix("docs/")
        .removesuffix(".md")
        .removesuffix("README")
        for path in written
    }
    missing = [
        str(path) for path, address in addresses.items() if address and f"{address.rstrip('/')}/" not in linked
    ]
    assert missing == []


@pytest.mark.parametrize("face", FACES)
def test_every_public_name_has_its_description(pages, face):
    anchors = {anchor for path, page in pages.items() if path.parts[0] == "reference" for anchor in page.anchors}
    names = import_module(face).__all__
    short = {anchor.rpartition(".")[2] for anchor in anchors if anchor.startswith(("minibert.", "analysis."))}
    assert [name for name in names if name not in short] == []


def test_every_formula_is_rendered(site, pages):
    text = {path: (site / path).read_text(encoding="utf-8") for path in pages if path.parts[0] == "mathematics"}
    assert all("<math" in page for path, page in text.items() if len(path.parts) > 2)
    assert [str(path) for path, page in text.items() if "arithmatex" in page or "\\frac" in page] == []


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextmanager
def served(folder):
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def address(site):
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("chromium and chromedriver are not installed")
    with served(site) as opened:
        yield opened


def requests(browser):
    """The addresses that the page asked for since the last call."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [
        each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"
    ]
    return [url for url in asked if not url.startswith(("data:", "blob:", "chrome"))]


def open_page(browser, url, width, scheme):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == NARROW}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": features})
    browser.get(url)


@pytest.mark.parametrize(("width", "scheme"), [(WIDE, "light"), (NARROW, "dark")])
def test_pages_fit_their_window_and_ask_only_their_own_server(browser, address, width, scheme):
    browser.get_log("browser")
    requests(browser)
    for page in LOOKED_AT:
        open_page(browser, address + page, width, scheme)
        shown = browser.execute_script("return [document.documentElement.scrollWidth, document.body.scrollWidth]")
        assert max(shown) <= width, f"{page}: {shown} pixels wide"
        dark = browser.execute_script("return document.body.getAttribute('data-md-color-scheme')") == "slate"
        assert dark == (scheme == "dark"), page
    assert [url for url in requests(browser) if not url.startswith(address)] == []
    assert [entry["message"] for entry in browser.get_log("browser")] == []


def test_search_finds_a_page_without_a_network(browser, address):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    open_page(browser, address, WIDE, "light")
    browser.execute_script("document.querySelector('[data-md-toggle=search]').click()")
    browser.find_element(By.CSS_SELECTOR, ".md-search__input").send_keys("layer norm")
    results = WebDriverWait(browser, 30, 0.05).until(
        lambda driver: driver.find_elements(By.CSS_SELECTOR, ".md-search-result__link")
    )
    assert any("mathematics/layer_norm" in result.get_attribute("href") for result in results[:3])
