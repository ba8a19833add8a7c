"""Names of metrics are written and read by the same file."""

import math

import pytest

from minibert.diagnostics.plotting.series import (
    OUTSIDE,
    by_head,
    by_kind,
    by_layer,
    head_name,
    last_value,
    layer_name,
    locate,
    metric_name,
    pair_name,
    part_of,
    place_names,
    quantities_within,
    read,
    split_pair,
)
from minibert.evaluation.metric_names import metric_part
from minibert.files import short_name


class Recorded:
    """A record whose metrics are all 1, and at step 0 alone."""

    def __init__(self, *names):
        self.names = names

    def metric_names(self, prefix=""):
        return sorted(name for name in self.names if name.startswith(prefix))

    def history(self, metric):
        return ([0], [1.0]) if metric in self.names else ([], [])


@pytest.mark.parametrize(
    ("part", "kind", "layer", "head", "label"),
    [
        ("layers.2.attention.query.weight", "attention query", 2, None, "layers 2 attention query"),
        ("layer_12/feed_forward/active", "feed forward active", 12, None, "layer 12 feed forward active"),
        ("layer_2", "", 2, None, "layer 2"),
        ("layer_2/head_11", "", 2, 11, "layer 2 head 11"),
        ("embeddings.token.weight", OUTSIDE, None, None, "embeddings token"),
        ("embeddings_layer_0", OUTSIDE, None, None, "embeddings layer 0"),
        ("global", OUTSIDE, None, None, "global"),
    ],
)
def test_a_part_is_taken_apart_into_kind_layer_and_head(part, kind, layer, head, label):
    assert locate(part) == (kind, layer, head, label)


def test_what_is_written_is_read_again():
    name = metric_name("attention_entropy", layer_name(3), head_name(10))
    assert name == "attention_entropy/layer_3/head_10"
    (found,) = read(Recorded(name), "attention_entropy")
    assert (found.kind, found.layer, found.head, found.history) == ("", 3, 10, ([0], [1.0]))
    assert by_head([found]) == {(3, 10): ([0], [1.0])} and by_layer([found]) == {}
    for one, other in zip(place_names(12), place_names(12)[1:], strict=False):
        assert split_pair(pair_name(one, other)) == (one, other)


def test_series_come_in_the_order_of_the_depth_and_of_one_quantity_alone():
    record = Recorded(
        "rank/layer_10", "rank/layer_2", "rank/embeddings", "rank/layer_10/a", "ranking/layer_0", "rank/head.bias"
    )
    assert [each.part for each in read(record, "rank")] == [
        "embeddings", "head.bias", "layer_2", "layer_10", "layer_10/a",
    ]  # fmt: skip
    assert [each.part for each in read(record, "rank", lambda part: "." in part)] == ["head.bias"]
    assert {kind: list(found) for kind, found in by_kind(read(record, "rank")).items()} == {
        OUTSIDE: ["embeddings", "head bias"], "": [2, 10], "a": [10],
    }  # fmt: skip
    assert part_of("rank/layer_2", "rank") == "layer_2" and part_of("ranking/layer_0", "rank") is None


def test_quantities_within_a_quantity_are_those_with_parts_of_their_own():
    record = Recorded("sharpness/trace", "sharpness/layer_0/trace", "sharpness/embeddings/trace")
    assert quantities_within(record, "sharpness") == ["embeddings", "layer_0"]
    assert last_value(record, "sharpness/trace") == 1.0 and math.isnan(last_value(record, "sharpness/none"))


def test_long_names_of_data_are_shortened_and_stay_apart():
    names = ["a" * 80, "a" * 81, "a" * 300, "a" * 299 + "b", "中" * 90, "\udcff" * 90]
    short = [short_name(name) for name in names]
    assert short[0] == names[0] and len(set(short)) == len(names)
    assert all(len(each.encode(errors="surrogateescape")) <= 80 for each in short)
    assert all(len(metric_part(name)) <= 80 for name in names)
