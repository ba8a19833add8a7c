"""The page of a report in a real browser: narrow and wide, light and dark, without a network, and when it is used.

Needs Debian's packages chromium and chromium-driver, and the extra ``browser``.
"""

import base64
import itertools
import json
import re
import shutil

import numpy as np
import pytest

from analysis.findings import find
from analysis.page import curves
from tests.support import page_studies
from tests.unit.test_partial_sweeps import run, study

webdriver = pytest.importorskip("selenium.webdriver", reason="the extra `browser` is not installed")
if not (shutil.which("chromium") and shutil.which("chromedriver")):
    pytest.skip("chromium and chromedriver are not installed", allow_module_level=True)

from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

WIDE, NARROW = 1400, 390
MARKUP = "<img src=x onerror=alert(1)>"
ONE = "one factor"
READABLE = 4.5
"""Least contrast of text, by the Web Content Accessibility Guidelines (WCAG 2.2, 1.4.3)"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory, rough_figures):
    """Kind of study -> address of its page. That of one factor has names as values, one of which is markup."""
    finals = {MARKUP: (6.0, 6.1, 6.2), "0.4": (5.70, 5.81, 5.89), "10": (4.9, 5.0, 5.2)}
    runs = [run(value, seed, final) for value, those in finals.items() for seed, final in enumerate(those)]
    studies = {ONE: study(*runs, baseline=MARKUP)} | {kind: make() for kind, make in page_studies.KINDS.items()}
    return {
        kind: page_studies.write_page(each, tmp_path_factory.mktemp(kind.replace(" ", "_")))
        for kind, each in studies.items()
    }


@pytest.fixture(scope="module")
def address(pages):
    return pages[ONE]


def show(browser, address, width):
    """Open the page in a window of this width and wait until its curves are drawn."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == NARROW}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    prefer(browser, "light")
    browser.get(address)
    if browser.find_elements(By.ID, "curves"):
        drawn(browser, "step linear linear")


def prefer(browser, scheme):
    features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", **features})


def drawn(browser, expected):
    figure = browser.find_element(By.ID, "curves")
    WebDriverWait(browser, 60, 0.02).until(
        lambda _: (figure.get_attribute("data-drawn") or "").startswith(expected)
    )
    return int(figure.get_attribute("data-drawn").split()[-1])


def press(browser, selector, number=0):
    browser.execute_script("arguments[0].click()", browser.find_elements(By.CSS_SELECTOR, selector)[number])


def choose(browser, axis):
    browser.execute_script(
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change', {bubbles: true}))",
        browser.find_element(By.NAME, "axis"),
        axis,
    )


def contrast(browser, selector):
    """Of the text of an element and the page behind it: (L + 0.05) / (L' + 0.05) of relative luminances."""
    colours = browser.execute_script(
        "const at = e => getComputedStyle(e); return [at(document.querySelector(arguments[0])).color, "
        "at(document.body).backgroundColor]",
        selector,
    )
    values = np.array([[float(part) for part in re.findall(r"[\d.]+", colour)[:3]] for colour in colours]) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    dark, light = sorted(linear @ [0.2126, 0.7152, 0.0722])
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("kind", [ONE, *page_studies.KINDS])
def test_the_page_of_every_kind_fits_its_window_light_and_dark_and_asks_no_network(browser, pages, kind, width):
    browser.get_log("performance")
    show(browser, pages[kind], width)
    behind = {}
    for scheme in ("light", "dark"):
        prefer(browser, scheme)
        whole, visible, behind[scheme] = browser.execute_script(
            "const {scrollWidth, clientWidth} = document.documentElement; "
            "return [scrollWidth, clientWidth, getComputedStyle(document.body).backgroundColor]"
        )
        assert whole == visible and width - visible < 20  # a scroll bar
        for text in ("h1", "p.soft", "td", "summary", "main > ul li"):
            assert contrast(browser, text) >= READABLE, (scheme, text)
    assert behind["light"] != behind["dark"]
    requests = [
        entry["message"] for entry in browser.get_log("performance") if "requestWillBeSent" in entry["message"]
    ]
    assert requests and not [each for each in requests if '"url":"http' in each]
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    columns = browser.execute_script(
        "return [...document.querySelectorAll('.figures:not(.still)')]"
        ".map(e => getComputedStyle(e).gridTemplateColumns.split(' ').length)"
    )
    assert max(columns) == (2 if width == WIDE else 1)
    told = browser.execute_script("return [...document.images].map(e => e.alt)")
    assert told and all(told) and len(set(told)) == len(told)
    named = browser.execute_script("return [...document.querySelectorAll('.interactive')].map(e => e.ariaLabel)")
    assert all(named) and bool(named) == (kind != "range test")


def test_curves_are_redrawn_as_the_reader_chooses(browser, address):
    show(browser, address, WIDE)
    assert drawn(browser, "step linear linear") == 3 + 9  # means and single runs
    press(browser, "[name=y_log]")
    drawn(browser, "step linear log")
    press(browser, "[name=x_log]")
    drawn(browser, "step log log")
    select = browser.find_element(By.NAME, "axis")
    offered = [option.get_attribute("value") for option in select.find_elements(By.TAG_NAME, "option")]
    assert {"step", "tokens_seen", "tokens_predicted", "seconds"} <= set(offered)
    assert "flops" not in offered  # which these runs have not recorded
    choose(browser, "seconds")
    drawn(browser, "seconds log log")
    press(browser, "[name=singles]")
    drawn(browser, "seconds log log 3")
    press(browser, ".legend button", 1)
    drawn(browser, "seconds log log 2")
    pressed = [b.get_attribute("aria-pressed") for b in browser.find_elements(By.CSS_SELECTOR, ".legend button")]
    assert pressed == ["true", "false", "true"]
    press(browser, ".legend button", 1)
    drawn(browser, "seconds log log 3")


def test_curves_are_drawn_against_the_operations_that_runs_recorded(browser, pages):
    show(browser, pages["sizes"], WIDE)
    choose(browser, "flops")
    assert drawn(browser, "flops linear linear") == 4 + 12  # means and single runs
    press(browser, "[name=x_log]")
    drawn(browser, "flops log linear")
    data = json.loads(browser.execute_script("return document.querySelector('#curves script').textContent"))
    assert data["axes"]["flops"] == "floating-point operations"
    assert [group["mean"]["x"]["flops"][-1] for group in data["groups"]] == [page_studies.FLOPS] * 4


def test_a_line_under_the_pointer_tells_its_run_and_value(browser, address):
    show(browser, address, WIDE)
    plot = browser.find_element(By.CSS_SELECTOR, ".plot")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    told = """
        const texts = [], walk = (node) => {
            if (node.shadowRoot) walk(node.shadowRoot);
            if (String(node.className).includes("bk-tooltip")) texts.push(node.textContent);
            node.childNodes.forEach(walk);
        };
        walk(document.body);
        return texts.join("|");
    """
    area = plot.rect
    view = browser.execute_script("const r = arguments[0].getBoundingClientRect(); return [r.left, r.top]", plot)

    def pointed(_):
        # Around the evaluations in the middle of the curves, closer than a point is wide.
        for across, down in itertools.product((0.51, 0.52, 0.53), np.arange(0.3, 0.7, 0.02)):
            where = {"x": view[0] + area["width"] * across, "y": view[1] + area["height"] * down}
            browser.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": "mouseMoved", **where})
            browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
            if "seed" in (found := browser.execute_script(told)):
                return found
        return False

    assert "seed" in WebDriverWait(browser, 60, 0.02).until(pointed)


def test_a_title_sorts_its_table_up_and_down_by_numbers(browser, address):
    show(browser, address, NARROW)
    table = browser.find_element(By.CSS_SELECTOR, "table.sortable")

    def column(number):
        return [
            row.find_elements(By.TAG_NAME, "td")[number].text
            for row in table.find_elements(By.CSS_SELECTOR, "tbody tr")
        ]

    title = table.find_elements(By.CSS_SELECTOR, "th button")[2]
    for sort, first, last in (("ascending", "5.033", "6.100"), ("descending", "6.100", "5.033")):
        browser.execute_script("arguments[0].click()", title)
        assert title.find_element(By.XPATH, "..").get_attribute("aria-sort") == sort
        assert column(2)[0].startswith(first) and column(2)[-1].startswith(last)


def test_names_from_data_stay_text(browser, address):
    show(browser, address, WIDE)
    assert browser.execute_script("return document.querySelectorAll('img[src=x]').length") == 0
    assert MARKUP in browser.find_element(By.CSS_SELECTOR, ".legend").text


def test_what_is_printed_has_the_picture_of_the_curves(browser, address):
    show(browser, address, WIDE)
    shown = "return getComputedStyle(document.querySelector(arguments[0])).display"
    assert (browser.execute_script(shown, ".still"), browser.execute_script(shown, ".interactive")) == (
        "none",
        "block",
    )
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert (browser.execute_script(shown, ".still"), browser.execute_script(shown, ".interactive")) == (
        "grid",
        "none",
    )
    document = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert document.startswith(b"%PDF") and len(document) > 50_000


def test_many_runs_are_drawn_as_means(monkeypatch):
    monkeypatch.setattr(curves, "MOST_RUNS", 5)
    runs = [run(value, seed, 5.0 + seed / 10) for value in ("0.15", "0.4") for seed in range(3)]
    data = curves.chart(find(study(*runs)))
    assert data is not None and not data["singles"] and all(not group["runs"] for group in data["groups"])
    assert "only their means are drawn" in curves.curves(find(study(*runs)))
