"""What lies where a report is written: nothing of others is lost, and nothing lands elsewhere."""

import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
from matplotlib.figure import Figure

from analysis.output import FINGERPRINT, MANIFEST, fingerprint, folder_name, is_written, new_report, seal
from analysis.report import default_folder
from minibert.errors import MinibertError
from minibert.tracking import Store
from tests.unit.test_partial_sweeps import study


def write(tmp_path, folder, *names, text="report", told=""):
    with new_report(Store(None, "1", "", tmp_path / "store"), folder) as made:
        for name in names:
            (made / name).write_text(text)
        if told:
            seal(made, told)


def files(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.name != MANIFEST}


def test_what_an_earlier_report_wrote_goes_and_everything_else_stays(tmp_path):
    folder = tmp_path / "new" / "out"
    write(tmp_path, folder, "index.html", "curves.png", "old.png")
    (folder / "photo.png").write_text("mine")
    write(tmp_path, folder, "index.html", "curves.png", text="second")
    assert files(folder) == {"index.html": "second", "curves.png": "second", "photo.png": "mine"}
    assert [path.name for path in folder.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("name", ["photo.png", "index.html", ".hidden", "curves.csv"])
def test_a_folder_that_holds_files_of_no_report_is_refused_and_stays(tmp_path, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(MinibertError, match=r"files that are of no report .*Give a new or an empty folder"):
        write(tmp_path, tmp_path / "out", "index.html")
    assert files(tmp_path / "out") == {name: "mine"}


def test_a_file_in_the_way_of_a_later_report_is_refused_and_stays(tmp_path):
    folder = tmp_path / "out"
    write(tmp_path, folder, "index.html")
    (folder / "curves.png").write_text("mine")
    with pytest.raises(MinibertError, match=r"curves\.png would be replaced"):
        write(tmp_path, folder, "index.html", "curves.png", text="second")
    assert files(folder) == {"index.html": "report", "curves.png": "mine"}


def test_a_report_from_before_there_was_a_list_is_replaced(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    for name in ("index.html", "curves.csv", "finals.csv", "comparisons.csv", "differences.png", "photo.png"):
        (folder / name).write_text("old")
    write(tmp_path, folder, "index.html", "finals.csv")
    assert files(folder) == {"index.html": "report", "finals.csv": "report", "photo.png": "old"}


LISTS = [MANIFEST, FINGERPRINT]


@pytest.mark.parametrize("gone", [*LISTS, "index.html", "curves.svg"])
@pytest.mark.parametrize("how", ["removed", "[", '{"files": []}', '{"files": "ab"}', "[" * 100_000])
def test_a_report_of_which_a_file_was_removed_or_damaged_by_hand_is_made_anew(tmp_path, gone, how):
    folder, names = tmp_path / "out", ("index.html", "curves.csv", "curves.svg", "finals.csv", "comparisons.csv")
    write(tmp_path, folder, *names, "old.png", told="the same")
    (folder / "photo.png").write_text("mine")
    assert is_written(folder, "the same")
    (folder / gone).unlink() if how == "removed" else (folder / gone).write_text(how)
    assert not is_written(folder, "the same")
    write(tmp_path, folder, *names, text="second", told="the same")
    found = files(folder)
    assert found.pop("photo.png") == "mine" and found.pop(FINGERPRINT)
    assert found == dict.fromkeys(names, "second") and is_written(folder, "the same")


@pytest.mark.parametrize("name", ["curves.svg", "old.png", FINGERPRINT, MANIFEST, f".{MANIFEST}"])
def test_a_folder_in_place_of_a_file_is_named_and_nothing_is_replaced(tmp_path, name):
    folder = tmp_path / "out"
    write(tmp_path, folder, "index.html", "curves.svg", "old.png", told="the same")
    (folder / name).unlink(missing_ok=True)
    (folder / name).mkdir()
    with pytest.raises(MinibertError) as refusal:
        write(tmp_path, folder, "index.html", "curves.svg", text="second", told="the same")
    assert str(refusal.value).startswith(f"{folder / name}: is a folder, and a file of the report belongs there.")
    assert (folder / "index.html").read_text() == "report" and (folder / name).is_dir()


def test_where_no_list_is_left_the_advice_is_to_move_the_folder_and_following_it_helps(tmp_path):
    folder = tmp_path / "out"
    write(tmp_path, folder, "index.html", "curves.svg", told="the same")
    for name in LISTS:
        (folder / name).write_text("[")
    with pytest.raises(MinibertError, match=r"which are of one\. Move the folder away, or give another"):
        write(tmp_path, folder, "index.html", "curves.svg")
    folder.rename(tmp_path / "away")
    write(tmp_path, folder, "index.html", "curves.svg")


def test_a_report_that_fails_leaves_the_earlier_one_as_it_was(tmp_path):
    write(tmp_path, tmp_path / "out", "index.html")
    with (
        pytest.raises(ZeroDivisionError),
        new_report(Store(None, "1", "", tmp_path / "store"), tmp_path / "out") as made,
    ):
        (made / "index.html").write_text("half")
        raise ZeroDivisionError
    assert files(tmp_path / "out") == {"index.html": "report"}


def test_what_is_no_folder_or_list_is_one_error(tmp_path):
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(MinibertError, match="output=FOLDER"):
            write(tmp_path, place, "index.html")
    (tmp_path / "out").mkdir()
    for text in ("", "[1]", "{}", '{"files": 3}'):
        (tmp_path / "out" / MANIFEST).write_text(text)
        with pytest.raises(MinibertError, match="is not the list of a report's files"):
            write(tmp_path, tmp_path / "out", "index.html")


def test_reports_written_at_once_are_each_whole(tmp_path):
    names = [f"{letter}.png" for letter in "abcdefgh"]
    writers = [
        threading.Thread(target=write, args=(tmp_path, tmp_path / "out", *names), kwargs={"text": str(number)})
        for number in range(4)
    ]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    found = files(tmp_path / "out")
    assert sorted(found) == names and len(set(found.values())) == 1


@pytest.mark.parametrize("study", ["../..", "/etc", "a/b", ".", "..", "", ".hidden", "a\\b", "a\nb", "n" * 300])
def test_a_study_of_any_name_stays_within_the_folder_of_reports(tmp_path, study):
    name = folder_name(study)
    assert (tmp_path / name).resolve().parent == tmp_path and not name.startswith(".")
    (tmp_path / name).mkdir()


def test_names_of_folders_differ_where_those_of_studies_do():
    assert folder_name("masking_sweep") == "masking_sweep" and folder_name("größe 2") != "größe 2"
    assert len({folder_name(name) for name in ("a/b", "a b", "a_b", "a//b", "../a/b")}) == 5


def test_sweeps_of_one_name_share_a_folder_only_if_they_are_of_one_study(tmp_path):
    store = SimpleNamespace(folder=tmp_path)
    made = replace(study(), name="seed", question="Is it so?")
    made = replace(made, worked_out="two settings vary")  # no experiment has to name its factor
    of_a_study = [default_folder(store, replace(made, sweep_id=each)) for each in ("a" * 32, "b" * 32)]
    assert of_a_study == [tmp_path / "reports" / "seed"] * 2
    bare = [replace(made, question=None, sweep_id=each) for each in ("a" * 32, "b" * 32)]
    folders = [default_folder(store, each) for each in bare]
    assert folders == [tmp_path / "reports" / name for name in ("seed-aaaaaaaa", "seed-bbbbbbbb")]


def test_what_a_report_tells_is_known_again_whatever_figures_are_made_of_it():
    def told(number: int) -> str:
        figure = Figure()
        figure.subplots().plot([number, 2])
        return fingerprint({"numbers": [number, 2], "figures": {"curves.png": figure}})

    assert told(1) and told(1) == told(1) != told(3)
