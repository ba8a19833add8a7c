"""The explorer in a real browser, with a server of its own and as a file without one.

Needs Debian's packages chromium and chromium-driver, and the extra ``browser``.
"""

import base64
import shutil
import threading
from contextlib import contextmanager

import numpy as np
import pytest

from minibert.config import ModelConfig
from minibert.data.tokenizer import train_tokenizer
from minibert.exploration import MathematicalExplorer
from minibert.exploration.answers import Answers
from minibert.exploration.checkpoints import Checkpoints
from minibert.exploration.recording import recorded_page
from minibert.exploration.server import create_app
from minibert.loopback import open_server
from minibert.mistakes.gradient_check import scatter
from minibert.model.bert import MiniBERT

webdriver = pytest.importorskip("selenium.webdriver", reason="the extra `browser` is not installed")
if not (shutil.which("chromium") and shutil.which("chromedriver")):
    pytest.skip("chromium and chromedriver are not installed", allow_module_level=True)

from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

WIDE, NARROW = 1400, 390
TEXT = "the people [MASK] the union of states"
MARKUP = "<img src=x onerror=alert(1)> [MASK] </script>"
TOKENIZER = train_tokenizer(
    ["the people keep the union of states < img src = x onerror > "] * 20, 128, lowercase=True
)
STEPS = (0, 100, 1000)


def explorer(step: int) -> MathematicalExplorer:
    """A network of its own for every step."""
    sizes = {"hidden_size": 16, "layers": 2, "heads": 2, "feed_forward_size": 24, "max_length": 32}
    model = MiniBERT(ModelConfig(vocab_size=128, **sizes))
    scatter(model.params, step)
    return MathematicalExplorer(model, TOKENIZER)


@pytest.fixture(scope="module")
def answers():
    return Answers(Checkpoints("a small network", STEPS, explorer))


@contextmanager
def served(answers):
    server = open_server(create_app(answers, TEXT), 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def address(answers):
    with served(answers) as opened:
        yield opened


@pytest.fixture(scope="module")
def exported(answers, tmp_path_factory):
    page = tmp_path_factory.mktemp("exported") / "page.html"
    page.write_text(recorded_page(answers, [TEXT, MARKUP]), encoding="utf-8")
    return page.as_uri()


def settled(browser):
    WebDriverWait(browser, 60, 0.02).until(lambda _: browser.execute_script("return document.body.dataset.shown"))


def show(browser, address, width=WIDE, scheme="light"):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == NARROW}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", **features})
    browser.get(address)
    settled(browser)


def type_sentence(browser, text):
    field = browser.find_element(By.ID, "sentence")
    field.clear()
    field.send_keys(text, Keys.ENTER)
    settled(browser)


def press(browser, selector, number=0):
    browser.execute_script("arguments[0].click()", browser.find_elements(By.CSS_SELECTOR, selector)[number])
    settled(browser)


def slide(browser, identity, place):
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))"
    browser.execute_script(script, browser.find_element(By.ID, identity), place)
    settled(browser)


def told(browser, identity):
    return browser.find_element(By.ID, identity).text


def tokens(browser):
    return [button.text for button in browser.find_elements(By.CSS_SELECTOR, "#tokens button")]


def severe(browser):
    return [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_the_page_fits_its_window_and_complains_of_nothing(browser, address, width, scheme):
    show(browser, address, width, scheme)
    whole, visible = browser.execute_script(
        "const {scrollWidth, clientWidth} = document.documentElement; return [scrollWidth, clientWidth]"
    )
    assert whole == visible and width - visible < 20
    assert severe(browser) == []


def test_a_sentence_is_typed_and_its_guesses_are_those_of_the_network(browser, address):
    show(browser, address)
    type_sentence(browser, "keep the [MASK]")
    assert tokens(browser) == ["[CLS]", "keep", "the", "[MASK]", "[SEP]"]
    found = explorer(1000).guess_by_layer("keep the [MASK]", top_k=6)
    rows = browser.find_elements(By.CSS_SELECTOR, "#guesses tbody tr")
    assert len(rows) == 3
    for row, guesses, shares in zip(rows, found.tokens, found.probabilities, strict=True):
        for token, share in zip(guesses[3], shares[3], strict=True):
            assert f"{token} {100 * share:.1f} %" in row.text or share < 0.0005
    assert "attends most to" in told(browser, "attention")
    assert len(browser.find_elements(By.CSS_SELECTOR, "#heads button")) == 4
    assert len(browser.find_elements(By.CSS_SELECTOR, "#attention svg[role=img]")) == 2
    assert severe(browser) == []


def test_a_token_is_masked_by_its_button_and_by_the_keyboard_alone(browser, address):
    show(browser, address)
    type_sentence(browser, "the people keep the union")
    chosen = browser.find_element(By.CSS_SELECTOR, "#tokens [aria-pressed=true]")
    assert chosen.text == "the" and browser.find_element(By.ID, "mask").text == "Mask “the”"
    chosen.send_keys(Keys.ARROW_RIGHT)
    settled(browser)
    browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    settled(browser)
    assert browser.switch_to.active_element.text == "keep"
    browser.switch_to.active_element.send_keys("m")
    settled(browser)
    assert tokens(browser)[3] == "[MASK]"
    assert browser.switch_to.active_element.get_attribute("aria-label") == "token 3: [MASK], was keep"
    found = explorer(1000).guess_by_layer("the people keep the union", [3])
    assert f"rank {found.original_ranks[-1, 3]}" in told(browser, "guesses")
    press(browser, "#mask")
    assert tokens(browser)[3] == "keep"
    press(browser, "#tokens button")
    assert not browser.find_element(By.ID, "mask").is_enabled()  # [CLS]


def test_the_slider_goes_through_the_checkpoints_and_two_stand_side_by_side(browser, address):
    show(browser, address)
    position = explorer(0).read(TEXT).masked[0]
    slider = browser.find_element(By.ID, "step")
    assert slider.get_attribute("aria-valuetext") == "step 1,000"
    for place, step in ((0, 0), (1, 100)):
        slide(browser, "step", place)
        likeliest = explorer(step).guess_by_layer(TEXT).tokens[-1][position][0]
        last = browser.find_elements(By.CSS_SELECTOR, "#guesses tbody tr")[-1]
        assert last.find_elements(By.TAG_NAME, "td")[0].text.startswith(likeliest)
        assert slider.get_attribute("aria-valuetext") == told(browser, "step_shown") == f"step {step}"
    press(browser, "#beside_on")
    assert len(browser.find_elements(By.CSS_SELECTOR, "#guesses table")) == 2
    slide(browser, "beside", 2)
    titles = [each.text for each in browser.find_elements(By.CSS_SELECTOR, "#attention h3")]
    assert titles == ["layer 0, head 0, step 100", "layer 0, head 0, step 1,000"]
    assert "of step 100 (rows) and step 1,000 (columns)" in told(browser, "layers")
    other = explorer(100).compare_layer_representations(TEXT, explorer(1000)).similarity
    assert f"{other[2, 2]:.2f}" in told(browser, "layers")


def test_a_head_is_switched_off_and_the_change_is_that_of_the_network(browser, address):
    show(browser, address)
    assert "All heads are on" in told(browser, "ablation")
    press(browser, "#switches button", 1)
    found = explorer(1000).ablate_heads(TEXT, [(0, 1)])
    position = found.sentence.masked[0]
    shown = browser.find_element(By.CSS_SELECTOR, "#ablation tbody tr").text
    assert found.before[position][0][0] in shown and found.after[position][0][0] in shown
    assert f"changes by {found.divergences[position]:.3g}"[:14] in told(browser, "ablation")
    assert browser.find_elements(By.CSS_SELECTOR, "#switches button")[1].get_attribute("aria-pressed") == "true"
    effects = explorer(1000).measure_head_effects(TEXT)
    assert all(f"{effect:.2f}".replace("-", "−") in told(browser, "effects") for effect in effects.effects.ravel())
    assert severe(browser) == []


WALK = """
const told = arguments[arguments.length - 1], texts = [], place = (id) => document.getElementById(id);
const go = () => {
  if (!document.body.dataset.shown) return requestAnimationFrame(go);
  texts.push([place("step_place").textContent, place("walk").textContent]);
  if (place("next").disabled) return told(texts);
  place("next").click();
  requestAnimationFrame(go);
};
go();
"""


def test_the_forward_pass_is_walked_from_the_ids_to_the_probabilities(browser, address):
    show(browser, address)
    steps = explorer(1000).step_through_forward_pass(TEXT).steps
    seen = browser.execute_async_script(WALK)
    assert len(seen) == len(steps)
    for step, (place, text) in zip(steps, seen, strict=True):
        assert place.startswith(step.place) and place.endswith(step.name.replace("_", " "))
        assert step.formula in text and step.shape in text
    press(browser, "#previous")
    assert told(browser, "step_place").endswith("scores")


def test_many_heads_are_measured_on_a_wish(browser):
    model = MiniBERT(ModelConfig(vocab_size=128, hidden_size=4, layers=25, heads=2, feed_forward_size=4))
    many = Answers(Checkpoints.of_model("many heads", MathematicalExplorer(model, TOKENIZER)))
    with served(many) as address:
        show(browser, address)
        assert told(browser, "effects") == "Measure all 50 heads, one pass each"
        press(browser, "#effects button")
        assert "log p(" in told(browser, "effects")
        assert not browser.find_element(By.ID, "checkpoints").is_displayed()  # there is one only


def test_the_gradient_of_a_target_is_followed(browser, address):
    show(browser, address)
    browser.find_element(By.ID, "target").send_keys("union", Keys.ENTER)
    settled(browser)
    loss = explorer(1000).analyze_gradient_flow(TEXT, target="union").loss
    assert f"Loss = −log p(union) at token 3 = {loss:.4g} nats." in told(browser, "gradient")
    browser.find_element(By.ID, "target").send_keys("xyzzy", Keys.ENTER)
    settled(browser)
    assert "is not one token of the vocabulary" in told(browser, "gradient")
    assert tokens(browser)  # the rest stays
    assert severe(browser) == []


def test_markup_stays_text_in_the_page_and_in_the_file(browser, address, exported):
    show(browser, address)
    type_sentence(browser, MARKUP)
    assert {"<", "img", "onerror"} <= {*tokens(browser)}
    assert browser.execute_script("return document.querySelectorAll('main img').length") == 0
    show(browser, exported)
    assert MARKUP in told(browser, "choice")
    assert severe(browser) == []


def test_what_cannot_be_read_is_one_message_and_the_page_goes_on(browser, address):
    show(browser, address)
    for text, said in (
        ("", "a sentence with at least one word"),
        ("the union " * 16, "34 tokens with [CLS] and [SEP]"),
    ):
        type_sentence(browser, text)
        alert = browser.find_element(By.CSS_SELECTOR, "[role=alert]")
        assert alert.is_displayed() and said in alert.text
    type_sentence(browser, "the union")
    assert not browser.find_element(By.ID, "error").is_displayed() and tokens(browser)[1:3] == ["the", "union"]
    assert severe(browser) == []


def test_everything_that_can_be_used_has_a_name_for_a_screen_reader(browser, address):
    show(browser, address)
    used = browser.find_elements(By.CSS_SELECTOR, "button, input, select, svg[role=img], [role=region]")
    assert len(used) > 20
    assert [
        each.get_attribute("outerHTML")[:80] for each in used if each.is_displayed() and not each.accessible_name
    ] == []
    assert {each.get_attribute("role") for each in browser.find_elements(By.CSS_SELECTOR, "#error, #status")} == {
        "alert",
        "status",
    }


def test_the_exported_file_needs_no_network_and_keeps_its_slider_and_heads(browser, exported):
    browser.get_log("performance")
    show(browser, exported)
    assert not browser.find_element(By.ID, "sentence").is_displayed()
    slide(browser, "step", 0)
    position = explorer(0).read(TEXT).masked[0]
    likeliest = explorer(0).guess_by_layer(TEXT).tokens[-1][position][0]
    last = browser.find_elements(By.CSS_SELECTOR, "#guesses tbody tr")[-1]
    assert last.find_elements(By.TAG_NAME, "td")[0].text.startswith(likeliest)
    assert "was exported without it" in told(browser, "walk")
    slide(browser, "step", 2)
    assert told(browser, "step_place").startswith("embeddings")
    press(browser, "#switches button", 2)
    assert "Without L1 H0" in told(browser, "ablation")
    press(browser, "#beside_on")
    assert "of step 1,000 (rows) and step 0 (columns)" in told(browser, "layers")
    script = "arguments[0].value = 1; arguments[0].dispatchEvent(new Event('change', {bubbles: true}))"
    browser.execute_script(script, browser.find_element(By.ID, "choice"))
    settled(browser)
    assert "onerror" in tokens(browser)
    asked = [each["message"] for each in browser.get_log("performance") if "requestWillBeSent" in each["message"]]
    assert asked and not [each for each in asked if '"url":"http' in each]
    assert severe(browser) == []


def test_numbers_of_an_answer_are_those_of_the_arrays(answers):
    asked = {"kind": "part", "step": 0, "text": TEXT, "masked": [], "part": "layers.0.attention"}
    steps = {step["name"]: step for step in answers(asked)["steps"]}
    packed = steps["weights"]["array"]
    weights = np.frombuffer(base64.b64decode(packed["data"]), "<f4").reshape(packed["shape"])
    np.testing.assert_array_equal(weights, explorer(0).explore_attention_heads(TEXT).weights[0])
