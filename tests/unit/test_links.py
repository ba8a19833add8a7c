"""Links of a report into MLflow: all runs of a sweep side by side, however many."""

import json
import re
from html import unescape
from urllib.parse import unquote

import pytest

from analysis.page.links import Links
from minibert.tracking import claim, start_run
from tests.support.reports import copied_store

IDS = [f"{number:032x}" for number in range(1500)]


@pytest.fixture(scope="module")
def store(empty_database, tmp_path_factory):
    return copied_store(empty_database, tmp_path_factory.mktemp("mlruns"))


@pytest.mark.parametrize("count", [1, 100, 101, 1500])
def test_all_runs_are_compared(store, count):
    shown = unescape(Links(store, "5" * 32, IDS[:count]).shown())
    (address,) = re.findall(r'href="([^"]*compare-runs[^"]*)"', shown)
    (runs,) = re.findall(r"\?runs=([^&]*)", address)
    assert json.loads(unquote(runs)) == IDS[:count] and "these runs side by side" in shown


def test_a_server_gets_none_of_the_long_address(store):
    """It is behind the #, which a browser keeps for itself; browsers take a million characters and more."""
    address = re.findall(r'href="([^"]*compare-runs[^"]*)"', Links(store, "5" * 32, IDS).shown())[0]
    assert len(address.partition("#")[0]) < 100 and len(address) < 100_000


def test_mlflow_finds_as_many_runs_in_one_search_as_its_page_asks_for(store):
    """Its page asks for up to a thousand runs by their ids at once, and for each by itself beyond that."""
    with claim(store, "a" * 64) as held:
        run = start_run(held, "a run", {}, {})
    listed = ",".join(f"'{each}'" for each in [*IDS[:999], run.id])
    found = store.client.search_runs([store.experiment_id], f"run_id IN ({listed})", max_results=1000)
    assert [each.info.run_id for each in found] == [run.id]
