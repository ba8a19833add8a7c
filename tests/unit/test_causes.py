"""Which of kernel, versions, lanes, code and data explains another result, told from the tags of both."""

import pytest

from minibert.running.causes import explanation, find_causes, of_other_data

NOW = {
    "kernel.name": "SkylakeX", "kernel.library": "openblas 0.3.31", "kernel.vectors": "X86_V3 X86_V4",
    "kernel.lanes": "2", "version.numpy": "2.4.6", "version.mlflow": "3.17.2", "version.tokenizers": "0.22",
    "version.minibert": "1", "code.model": "0123456789ab", "code.diagnostics": "ba9876543210", "code.data": "d",
    "git.commit": "b" * 40, "corpus.hash": "text", "tokenizer.hash": "words",
}  # fmt: skip


def told(of_parameters=True, **recorded):
    """What is said of a run whose tags were these (two underscores for a dot), and otherwise those of now."""
    causes = find_causes(NOW | {name.replace("__", "."): value for name, value in recorded.items()}, NOW)
    return explanation(causes, of_parameters)


def test_the_only_difference_explains_it():
    (only,) = told(kernel__name="Haswell")
    assert only == (
        "this explains it, as nothing else is other than on record: kernel: Haswell on record, SkylakeX now"
    )
    (both,) = told(kernel__name="Haswell", kernel__vectors="X86_V3")
    assert both.startswith("this explains it") and "kernel (vectors): X86_V3 on record" in both


def test_differences_of_several_kinds_cannot_be_told_apart_but_there_is_a_way_to_tell():
    first, *ways = told(kernel__name="Haswell", kernel__vectors="X86_V3", version__numpy="2.4.5")
    assert "whether several do, the record cannot tell: kernel: Haswell on record" in first
    assert ways == [
        "to tell: set OPENBLAS_CORETYPE=Haswell, and reproduce again",
        'to tell: set NPY_DISABLE_CPU_FEATURES="X86_V4", and reproduce again',
        "to tell: pip install numpy==2.4.5, and reproduce again",
    ]


@pytest.mark.parametrize(
    ("tag", "value", "why"),
    [
        ("version__mlflow", "3.16", "it computes none of these numbers"),
        ("version__minibert", "0.9", "its code is compared room by room"),
        ("version__tokenizers", "0.21", "it makes the vocabulary, which is the one on record"),
        ("code__diagnostics", "0", "it measures, and changes no parameter"),
    ],
)
def test_what_cannot_change_a_parameter_is_ruled_out(tag, value, why):
    excluded, last = told(**{tag: value})
    assert excluded.startswith("this does not explain it: ") and excluded.endswith(f"({why})")
    assert last.startswith("nothing else is other than on record: none of kernel, versions, lanes, code and data")
    excluded, last = told(**{tag: value}, kernel__lanes="1")
    assert last.endswith("lanes: 1 on record, 2 now") and last.startswith("this explains it")


def test_code_that_measures_may_explain_that_a_measured_value_differs():
    (only,) = told(of_parameters=False, code__diagnostics="0")
    assert only.startswith("this explains it") and "code (diagnostics)" in only


def test_the_files_that_do_something_else_are_named_where_the_recorded_code_is_here(monkeypatch):
    monkeypatch.setattr("minibert.running.causes.changed_files", lambda *given: ["model/a.py", "model/b.py"])
    (only,) = told(code__model="0")
    assert only.endswith("code (model): 0 on record, 0123456789ab now (other in model/a.py, model/b.py)")
    assert told(code__model="0", kernel__lanes="1")[-1] == (
        f"to tell: go to the recorded code, git worktree add FOLDER {'b' * 40}, and reproduce again"
    )
    monkeypatch.setattr("minibert.running.causes.changed_files", lambda *given: [])
    assert "(only comments, docstrings or layout have changed)" in told(code__model="0")[0]


def test_a_commit_is_a_cause_only_of_runs_whose_rooms_are_not_on_record():
    (only,) = told(code__model="0", git__commit="a" * 40)
    assert "commit" not in only
    before = {tag: value for tag, value in NOW.items() if not tag.startswith("code.")} | {"git.commit": "a" * 40}
    (only,) = explanation(find_causes(before, NOW), of_parameters=True)
    assert f"code (commit): {'a' * 40} on record" in only


def test_a_kernel_that_was_not_recorded_may_explain_it_and_one_that_changed_within_the_run_does():
    before = {tag: value for tag, value in NOW.items() if tag != "kernel.name"}
    (only,) = explanation(find_causes(before, NOW), of_parameters=True)
    assert only.startswith("this may explain it, but the record does not say what it was: kernel: unknown")
    (only,) = told(before_continuation__kernel__name="Haswell")
    assert only.endswith("the run itself changed its kernel: Haswell at first, SkylakeX after an interruption")


def test_where_nothing_differs_nothing_explains_it():
    assert told() == [
        "nothing differs from what is on record: none of kernel, versions, lanes, code and data explains it"
    ]


def test_of_other_data_it_is_said_whether_the_text_or_what_is_made_of_it_is_another():
    def of(**tags):
        return of_other_data(find_causes(NOW | {name.replace("__", "."): v for name, v in tags.items()}, NOW))

    assert of(corpus__hash="x", tokenizer__hash="y") == "this explains it: the text is not the one on record"
    assert "or it is read otherwise: code (data): 0 on record" in of(corpus__hash="x", code__data="0")
    assert of(tokenizer__hash="y", version__tokenizers="0.21") == (
        "the text is the one on record; that its vocabulary is another is explained by versions (tokenizers): "
        "0.21 on record, 0.22 now"
    )
    assert of(tokenizer__hash="y").endswith("nothing on record explains that its vocabulary is another")


def test_a_change_of_what_a_run_is_made_of_is_told_as_code():
    causes = find_causes(NOW | {"code.running/assembly": "0"}, NOW | {"code.running/assembly": "1"})
    (only,) = explanation(causes, of_parameters=True)
    assert only.startswith("this explains it") and only.endswith("code (running/assembly): 0 on record, 1 now")
