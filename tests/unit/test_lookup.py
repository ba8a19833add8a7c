"""A run is found by its id, the first characters of that, its name or ``last``."""

import shutil

import pytest

from minibert.errors import MinibertError
from minibert.tracking import open_store
from minibert.tracking.lookup import find_run_id, short_id


@pytest.fixture(scope="module")
def client(empty_database, tmp_path_factory):
    """A store with two runs of one name, runs with odd names, a sweep, and a run that is no run of minibert's."""
    folder = tmp_path_factory.mktemp("store")
    shutil.copy(empty_database, folder)
    store = open_store(None, folder, "minibert")
    other = store.client.create_experiment("other")
    for started, (name, kind, experiment) in enumerate(
        [
            ("twice", "run", store.experiment_id),
            ("twice", "run", store.experiment_id),
            ('it\'s [/bold] "100%" · seed 0', "run", store.experiment_id),
            ("a and b = 'c'; --", "run", store.experiment_id),
            ("once", "run", other),
            ("newest", "run", store.experiment_id),
            ("a sweep", "sweep", store.experiment_id),
            ("foreign", "", store.experiment_id),
        ],
        1,
    ):
        tags = {"minibert.kind": kind} if kind else {}
        store.client.create_run(experiment, start_time=started * 1000, run_name=name, tags=tags)
    return store.client


@pytest.fixture(scope="module")
def ids(client) -> dict[str, str]:
    everywhere = [each.experiment_id for each in client.search_experiments()]
    return {run.info.run_name: run.info.run_id for run in client.search_runs(everywhere)}


@pytest.mark.parametrize("name", ["once", "newest", 'it\'s [/bold] "100%" · seed 0', "a and b = 'c'; --"])
def test_a_run_is_found_by_its_name_whatever_characters_that_has(client, ids, name):
    assert find_run_id(client, name) == ids[name]


@pytest.mark.parametrize("characters", [8, 12, 31, 32])
def test_a_run_is_found_by_the_first_characters_of_its_id(client, ids, characters):
    assert find_run_id(client, ids["newest"][:characters]) == ids["newest"]
    assert find_run_id(client, ids["newest"][:characters].upper()) == ids["newest"]


def test_the_printed_id_is_one_that_is_found(client, ids):
    assert find_run_id(client, short_id(ids["once"])) == ids["once"]


def test_last_is_the_run_or_the_sweep_that_was_started_last(client, ids):
    assert find_run_id(client, "last") == ids["newest"]
    assert find_run_id(client, "last", kind="sweep") == ids["a sweep"]


def test_a_name_that_two_runs_have_is_refused_with_both_ids(client):
    with pytest.raises(MinibertError, match="run=twice: 2 runs are called so") as raised:
        find_run_id(client, "twice")
    twice = [run for run in client.search_runs(["1"]) if run.info.run_name == "twice"]
    assert all(short_id(run.info.run_id) in str(raised.value) for run in twice)


@pytest.mark.parametrize("word", ["", "Newest", "foreign", "a sweep", "ffff0000", "abc", "%", "new_st", "../etc"])
def test_a_word_that_names_no_run_is_refused_with_what_is_allowed(client, ids, word):
    with pytest.raises(MinibertError, match="Allowed: an id, its first 8 characters, a name, or last") as raised:
        find_run_id(client, word)
    assert short_id(ids["newest"]) in str(raised.value)


def test_only_the_experiments_given_are_looked_in(client, ids):
    with pytest.raises(MinibertError, match="no such run"):
        find_run_id(client, "once", experiments=["1"])
    assert find_run_id(client, ids["once"], experiments=["1"]) == ids["once"]


def test_the_setting_that_the_word_was_given_for_stands_in_the_message(client):
    with pytest.raises(MinibertError, match="--sweep=nothing: no such sweep"):
        find_run_id(client, "nothing", key="--sweep", kind="sweep")


def test_an_empty_store_says_that_it_is_empty(tmp_path, client):
    with pytest.raises(MinibertError, match="It holds no run yet"):
        find_run_id(client, "last", experiments=[client.create_experiment("empty")])
