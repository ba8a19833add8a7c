"""The gallery of wrong gradients: what the command shows, and the page that is made of the same list."""

import inspect
import os
import re
import shlex
from dataclasses import replace

import pytest

from minibert.mistakes.catalogue import MISTAKES, PARTS, derivation
from minibert.mistakes.gradient_check import Problem
from minibert.mistakes.injection import changed_source
from minibert.mistakes.mistake import Mistake
from minibert.mistakes.trial import SAME, try_out
from tests.support.gallery import FIGURES, PAGE, ROOT, TOLD, page

GAIN = "layer_norm.gain_outside"
COMPUTED = [name for name, each in MISTAKES.items() if each.check.__module__.endswith(("outputs", "optimizers"))]


@pytest.fixture
def gallery(door, tmp_path):
    return lambda *words: door(*words, f"folder={tmp_path}", module="minibert.gallery")


def test_without_a_name_all_are_listed(gallery):
    found = gallery()
    assert found.returncode == 0
    assert all(f" {name} " in found.stdout for name in MISTAKES)
    assert f"{len(MISTAKES)} mistakes in {len(PARTS)} parts" in found.stdout


def test_a_mistake_is_shown_with_its_lines_its_numbers_its_figure_and_its_test(gallery, tmp_path):
    target = tmp_path / "page.html"
    found = gallery(GAIN, "rms_norm.centred", "--html", str(target))
    assert found.returncode == 0 and not found.stderr
    assert "-    dx *= inverse_deviation\n+    dx *= inverse_deviation * gain\n" in found.stdout
    assert re.search(r"^ x +│ +3e-11 │ +-0\.078\S* │ +-1\.16\S* │ +0\.93 │ WRONG", found.stdout, re.MULTILINE)
    assert re.search(r"^ norm\.gain .* right", found.stdout, re.MULTILINE)
    assert "caught: 1 of 3 gradients are wrong by more than 1e-06" in found.stdout
    assert "caught: 1 of 1 outputs differ" in found.stdout
    assert "test: tests/mathematical/test_layer_gradients.py::test_layer_norm\n" in found.stdout
    assert "derivation: docs/mathematics/rms_norm.md\n" in found.stdout
    assert "seen: llama.cpp, 2023:" in found.stdout
    for name in (GAIN, "rms_norm.centred"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    written = target.read_text()
    assert written.count('src="data:image/png;base64,') == written.count('alt="') == 2
    assert 'alt=""' not in written and "<script" not in written and "src=http" not in written
    assert gallery("linear.bias_forgotten", f"html={target}").returncode == 0  # its own page is written anew
    assert "linear.bias_forgotten" in target.read_text() and GAIN not in target.read_text()


def test_the_code_is_as_before_once_a_mistake_was_shown(gallery):
    from minibert.model.norms import layer_norm_backward

    gallery(GAIN)
    assert layer_norm_backward.__code__.co_filename.endswith("norms.py")
    assert not set(try_out(MISTAKES[GAIN]).caught) - {"x"}


def test_the_name_of_a_part_shows_all_of_it_once(gallery):
    found = gallery("softmax", "softmax.without_weights")
    assert found.returncode == 0
    shown = [line for line in found.stdout.splitlines() if line in MISTAKES]
    assert shown == ["softmax.without_second_term", "softmax.without_weights"]


def test_what_cannot_be_shown_is_one_message(gallery, door, tmp_path):
    other = tmp_path / "notes.html"
    other.write_text("mine")
    for words, said in (
        (["layer_norm.gain_outsid"], "unknown mistake (did you mean 'layer_norm.gain_outside'?). Allowed: a name"),
        (["softmx"], "did you mean 'softmax'?"),
        (["LAYER_NORM"], "did you mean 'layer_norm'?"),
        (["Rope.Wrong_Sign"], "did you mean 'rope."),
        ([""], "'': is no name"),
        (["softmax", " "], "'': is no name"),
        (["folders=x"], "did you mean 'folder'?"),
        ([f"html={other}"], "shows nothing. Name a mistake, or parts: masking, short_rows, "),
        (["softmax", f"html={other}"], "is there, and is no page of the gallery"),
        (["softmax", "--html", str(tmp_path)], "is a folder"),
        (["softmax", f"html={other}/page.html"], "cannot be written"),
    ):
        found = gallery(*words)
        assert (found.returncode, found.stderr.count("\n")) == (2, 1) and said in found.stderr, words
    assert other.read_text() == "mine"
    blocked = door("linear.bias_forgotten", f"folder={other}/figures", module="minibert.gallery")
    assert blocked.returncode == 2 and f"folder={other}/figures" in blocked.stderr


def test_a_file_of_another_is_refused_before_the_work_and_stays(door, tmp_path, monkeypatch):
    def work(_):
        raise AssertionError("the work is done")

    monkeypatch.setattr("minibert.mistakes.gallery.try_out", work)
    foreign, taken, pipe, plain = (tmp_path / name for name in ("foreign", "taken", "pipe", "plain.png"))
    for folder in (foreign, taken, pipe):
        folder.mkdir()
    plain.write_bytes(b"mine")
    (foreign / "softmax.without_weights.png").write_bytes(b"\x89PNG mine")
    (taken / "softmax.without_weights.png").mkdir()
    os.mkfifo(pipe / "softmax.without_weights.png")
    for words, said in (
        ([f"folder={foreign}"], "is there, and is no picture of the gallery. Give another folder."),
        ([f"folder={pipe}"], "is there, and is no picture of the gallery. Give another folder."),
        ([f"folder={taken}"], "is a folder. Give another folder."),
        ([f"folder={plain}"], "cannot be written"),
        ([f"folder={plain}/below"], "cannot be written"),
        (["--html", f"{pipe}/softmax.without_weights.png"], "is there, and is no page of the gallery"),
        (["html=/dev/null"], "is there, and is no page of the gallery"),
        ([f"html={plain}/page.html"], "cannot be written"),
        ([f"html={tmp_path}/{'n' * 300}.html"], "cannot be read"),
    ):
        found = door("softmax", *words, module="minibert.gallery")
        assert (found.returncode, found.stderr.count("\n")) == (2, 1) and said in found.stderr, (words, found)
    assert plain.read_bytes() == b"mine"
    assert (foreign / "softmax.without_weights.png").read_bytes() == b"\x89PNG mine"


def test_its_own_picture_is_drawn_anew(gallery, tmp_path):
    path = tmp_path / f"{GAIN}.png"
    assert gallery(GAIN).returncode == 0
    drawn = path.read_bytes()
    path.write_bytes(drawn[:500])
    assert gallery(GAIN).returncode == 0
    assert path.read_bytes() == drawn


def test_a_mistake_that_changes_nothing_is_told_and_ends_with_one(gallery, monkeypatch):
    line = "dx -= mean_dx_hat[:, None]"
    monkeypatch.setitem(MISTAKES, GAIN, replace(MISTAKES[GAIN], changes={line: f"{line}  # the same"}))
    found = gallery(GAIN)
    assert found.returncode == 1 and "NOT CAUGHT" in found.stdout


@pytest.mark.parametrize("name", COMPUTED)
def test_what_is_computed_shows_a_mistake_in_it(name):
    mistake = MISTAKES[name]
    first, second = (mistake.check(**mistake.arguments) for _ in range(2))
    assert not isinstance(first, Problem)
    assert all((first[key] == second[key]).all() for key in first)
    trial = try_out(mistake)
    assert trial.caught and max(wrong for _, wrong in trial.errors.values()) > 1000 * SAME


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_names_a_test_a_source_and_a_derivation_that_are_there(name):
    mistake: Mistake = MISTAKES[name]
    inspect.signature(mistake.check).bind(**mistake.arguments)
    source = (ROOT / "tests" / mistake.test_file).read_text()
    assert f"def {mistake.test_name}(" in source
    right, wrong = changed_source(mistake.where, mistake.changes)
    assert right != wrong and compile(wrong, name, "exec")
    derived = derivation(mistake)
    assert derived is None or (ROOT / derived).is_file()
    assert not mistake.said.endswith(".") and mistake.why.endswith(".")
    assert all(not each.what.endswith(".") and each.address.startswith("https://") for each in mistake.seen)


def test_the_page_is_that_of_the_list_and_has_a_figure_with_words_for_each_classic():
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(), "run: python -m tests.support.gallery"
    pictures = re.findall(r"^!\[([^\]]{80,})\]\(gallery/(\S+)\.png\)$", text, re.MULTILINE)
    assert [name for _, name in pictures] == [each.name for each in TOLD]
    assert {path.stem for path in FIGURES.iterdir()} == {each.name for each in TOLD}
    assert 20 <= len(TOLD) <= 30 and all(each.seen for each in TOLD)
    assert sum(path.stat().st_size for path in FIGURES.iterdir()) < 1.5e6


def test_what_the_page_says_to_type_works_as_it_is_written(gallery, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, names = PAGE.read_text(encoding="utf-8"), {}
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        exec(compile(block, "gallery.md", "exec"), names)
    assert names["trial"].caught == ["x"]
    commands = re.findall(r"^python -m minibert\.gallery(.*)$", text, re.MULTILINE)
    assert len(commands) == 3
    for words in commands:
        assert gallery(*shlex.split(words, comments=True)).returncode == 0
    assert (tmp_path / "mlruns" / "gallery.html").is_file()
