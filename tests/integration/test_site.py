"""The documentation as a site: it builds without a warning, leads nowhere else by itself, and shows every page.

Needs the extra `docs`; what is looked at in a browser needs Debian's chromium and chromium-driver besides, and the
extra `browser`.
"""

import ast
import functools
import json
import os
import posixpath
import re
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from html import unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")
pytest.importorskip("material", reason="the extra `docs` is not installed")

CHECKOUT = Path(__file__).resolve().parents[2]
STATED = re.compile(r"^__all__ = (\[.*?\])", re.MULTILINE | re.DOTALL)
FACES = {
    path.relative_to(CHECKOUT).as_posix(): ast.literal_eval(found[1])
    for room in ("minibert", "analysis")
    for path in sorted((CHECKOUT / room).rglob("*.py"))
    if (found := STATED.search(path.read_text(encoding="utf-8")))
}
"""File -> the public names that it states"""
LOADED = {("script", "src"), ("link", "href"), ("img", "src"), ("source", "src"), ("iframe", "src")}
"""What a browser fetches by itself"""
SCHEME = re.compile(r"[a-z]+:|//")
"""How an address begins that leads away from the site"""
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
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=CHECKOUT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    # With --quiet, MkDocs does not count its warnings.
    told = [line for line in (built.stdout + built.stderr).splitlines() if not line.startswith("INFO ")]
    assert (built.returncode, told) == (0, [])
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
    found = [path for path in sorted(site.rglob("*.html")) if path.name != "404.html"]
    return {path.relative_to(site).as_posix(): Page(path) for path in found}


def test_every_link_and_anchor_leads_somewhere(site, pages):
    files = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    wrong = []
    for path, page in pages.items():
        for link in page.links | page.loads:
            place, _, anchor = unquote(link).partition("#")
            if SCHEME.match(link):
                continue
            target = posixpath.normpath(posixpath.join(posixpath.dirname(path), place)) if place else path
            target = posixpath.normpath(f"{target}/index.html") if place.endswith(("/", ".")) else target
            if target not in files or (anchor and anchor not in pages[target].anchors):
                wrong.append(f"{path}: {link}")
    assert wrong == []


def test_nothing_is_loaded_from_elsewhere(site, pages):
    loaded = {(path, link) for path, page in pages.items() for link in page.loads if urlsplit(link).netloc}
    assert loaded == set()
    styles = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.css")}
    assert [path for path, text in styles.items() if "url(http" in text or "@import" in text] == []


def test_every_page_of_the_repository_is_in_the_navigation(site, pages):
    linked = {unquote(urlsplit(link).path) for link in pages["index.html"].links}
    written = [*CHECKOUT.glob("docs/**/*.md"), *CHECKOUT.glob("experiments/**/*.md")]
    paths = [path.relative_to(CHECKOUT).as_posix().removeprefix("docs/") for path in written]
    addresses = {path: path.removesuffix(".md").removesuffix("README").rstrip("/") for path in paths}
    assert [path for path, address in addresses.items() if address and f"{address}/" not in linked] == []


@pytest.mark.parametrize("face", FACES)
def test_every_public_name_has_its_description(pages, face):
    anchors = {anchor for path, page in pages.items() if path.startswith("reference/") for anchor in page.anchors}
    short = {anchor.rpartition(".")[2] for anchor in anchors if anchor.startswith(("minibert.", "analysis."))}
    assert [name for name in FACES[face] if name not in short] == []


def test_every_formula_is_rendered(site, pages):
    text = {path: (site / path).read_text(encoding="utf-8") for path in pages if path.startswith("mathematics/")}
    assert all("<math" in page for path, page in text.items() if path.count("/") > 1)
    assert [path for path, page in text.items() if "arithmatex" in page or "\\frac" in page] == []


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
