"""Data that are not there are refused by the door before it looks for a run, or for what was found before."""

import pytest

from minibert.evaluate import main
from minibert.evaluation.given_data import refuse_absent
from minibert.running.evaluation import settings_of


@pytest.mark.parametrize(
    ("instrument", "setting"),
    [
        ("probing", "treebank=/nope.conllu"),
        ("intrinsic", "treebank=/nope"),
        ("minimal_pairs", "data=[agreement,/nope]"),
        ("semantics", "data=[wordsim353,/nope.tsv]"),
        ("facts", "data=[/nope.tsv]"),
        ("facts", f"data=[/nope{'x' * 300}]"),
        ("downstream", "data=/nope"),
    ],
)
def test_a_path_that_is_not_there_is_one_message_before_anything_is_asked(tmp_path, capsys, instrument, setting):
    words = [f"evaluation={instrument}", f"evaluation.{instrument}.{setting}", "quick=true"]
    assert main(["run=last", *words, f"tracking.folder={tmp_path}"]) == 2
    error = capsys.readouterr().err
    assert (
        error.startswith(f"evaluation.{instrument}.{setting.partition('=')[0]}: /nope") and "is not there" in error
    )
    assert not [*tmp_path.iterdir()]


def test_the_nearest_name_is_told(capsys):
    assert main(["run=last", "evaluation=minimal_pairs", "evaluation.minimal_pairs.data=[blmip]"]) == 2
    assert "did you mean 'blimp'?" in capsys.readouterr().err


def test_names_and_paths_that_are_there_pass(tmp_path):
    (tmp_path / "own.tsv").write_text("a\tb\t1\n")
    for words in (
        ["evaluation=full"],
        ["evaluation=intrinsic", "evaluation.intrinsic.treebank=null"],
        ["evaluation=semantics", f"evaluation.semantics.data=[analogies,{tmp_path}/own.tsv]"],
        ["evaluation=minimal_pairs", f"evaluation.minimal_pairs.data=[blimp,{tmp_path}]"],
    ):
        refuse_absent(settings_of(words))
