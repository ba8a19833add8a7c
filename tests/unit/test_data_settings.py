"""Options of ``masking``, ``curriculum`` and ``objective`` compose together; what makes no sense is refused."""

from dataclasses import asdict

import pytest

from minibert.config import restore
from minibert.errors import MinibertError
from minibert.running.plan import plan

MASKINGS = ("whole_word", "span", "frequency", "scheduled", "adaptive")
CURRICULA = ("length", "rarity", "loss", "short_rows")
REPLACED_ALONE = ["objective=replaced_token", "objective.mlm=false"]


def compose(*words):
    return plan(list(words), multirun=False).jobs[0].config


@pytest.mark.parametrize("masking", MASKINGS)
@pytest.mark.parametrize("curriculum", CURRICULA)
def test_any_two_options_compose_together(masking, curriculum):
    """Each masking with each curriculum, and each of them with both objectives."""
    objective = ("nsp", "token_order")[(MASKINGS.index(masking) + CURRICULA.index(curriculum)) % 2]
    config = compose(
        f"masking={masking}", f"curriculum={curriculum}", f"objective={objective}", "objective.replaced_token=0.5"
    )
    assert (config.masking.name, config.curriculum.name, config.objective.name) == (masking, curriculum, objective)
    assert config.model.auxiliary_heads == [objective, "replaced_token"]
    assert restore(asdict(config)) == config


def test_a_network_has_no_auxiliary_heads_unless_the_objective_asks_for_them():
    assert compose().model.auxiliary_heads == []
    assert compose("objective=sop").model.auxiliary_heads == ["sop"]


@pytest.mark.parametrize("task", ["nsp", "sop"])
def test_a_task_of_two_segments_brings_the_segments_with_it(task):
    assert compose().model.segments == 0
    config = compose("model=tiny", f"objective={task}", f"objective.{task}=0.3")
    assert (config.model.segments, getattr(config.objective, task), config.model.name) == (2, 0.3, "tiny")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["objective.sop=1"], ["objective.sop=1.0", "model.segments is 0", "model.segments=2"]),
        (["objective=nsp", "model.segments=1"], ["objective.nsp=1.0", "model.segments=2"]),
        (["objective=nsp", "objective.sop=1"], ["one second segment", "one of the two"]),
        (["objective=sop", "training.sequence_length=4"], ["sequence_length=4", "at least 5"]),
        (["objective=token_order", "training.sequence_length=15"], ["sequence_length=15", "at least 16"]),
        (["objective=token_order", "position=none"], ["objective.token_order=1.0", "position=none"]),
        (["objective.mlm=false"], ["objective.mlm=false", "nothing is left to learn"]),
        ([*REPLACED_ALONE, "masking=adaptive"], ["masking=adaptive", "objective.mlm=true"]),
        ([*REPLACED_ALONE, "curriculum=loss"], ["curriculum=loss", "objective.mlm=true"]),
        (["objective=token_order", "objective.replaced_token=1", "objective.moved=0.9"], ["moved=0.9", "below 1"]),
        (["masking=scheduled", "masking.prediction_rate=0.2"], ["masking.prediction_rate=0.2", "Allowed: null"]),
        (["masking=adaptive", "masking.rate=0.7"], ["masking.rate=0.7", "masking.highest=0.6"]),
        (["masking=span", "masking.longst=3"], ["did you mean 'masking.longest'"]),
        (["masking=wholeword"], ["did you mean 'whole_word'"]),
        (["curriculum=rarity", "curriculum.share=1"], ["curriculum.share=1", "below 1"]),
        (["curriculum=rarity", "curriculum.pacing=rot"], ["did you mean 'root'"]),
        (["curriculum=short_rows", "training.sequence_length=16"], ["curriculum.sequence_length=16", "less than"]),
        (["curriculum=short_rows", "training.one_batch=true"], ["one_batch=true", "curriculum=none"]),
        (
            ["curriculum=short_rows", "objective=token_order", "curriculum.sequence_length=8"],
            ["curriculum.sequence_length=8", "objective.token_order", "at least 16"],
        ),
        (["curriculum=short_rows", "curriculum.pacing=linear"], ["curriculum.pacing"]),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_the_reason(words, said):
    with pytest.raises(MinibertError) as refusal:
        compose(*words)
    for text in said:
        assert text in str(refusal.value)
