"""Hidden files beside data, such as those that file systems and editors leave, are no data."""

import pytest

from minibert.data.annotated.conllu import read_conllu
from minibert.data.annotated.minimal_pairs import read_minimal_pairs

PAIR = '{"sentence_good": "the cats sleep", "sentence_bad": "the cats sleeps"}\n'
SENTENCE = "1\tcats\tcat\tNOUN\t_\tNumber=Plur\t0\troot\t_\t_\n\n"


@pytest.mark.parametrize("hidden", ["._{}", ".checkpoints/{}", "deep/.{}"])
@pytest.mark.parametrize(
    ("read", "name", "content"), [(read_minimal_pairs, "a.jsonl", PAIR), (read_conllu, "a.conllu", SENTENCE)]
)
def test_hidden_files_of_a_folder_are_left_out(tmp_path, read, name, content, hidden):
    folder = tmp_path / ".hidden" / "data"  # what the user names may be hidden itself
    for place in (folder / name, folder / hidden.format(name)):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content if place == folder / name else "\0 of another program")
    assert len(read(folder)) == 1
    assert len(read(folder / name)) == 1
