"""Every name that the configuration allows has an implementation, and every implementation can be named."""

from dataclasses import fields
from typing import get_type_hints

import pytest
from omegaconf import OmegaConf

from minibert.config import OVERLAYS, VARIANTS, Config, ModelConfig, shipped_options, stated_values
from minibert.config.data import CHOICES, PacedCurriculumConfig, ScheduledMaskingConfig
from minibert.data.curriculum import PACINGS
from minibert.data.masking import MASKINGS
from minibert.model.feed_forward import GATED
from minibert.model.initializers import INITIALIZERS
from minibert.model.ops import ACTIVATIONS
from minibert.model.positions import POSITIONS
from minibert.training.optimizers import OPTIMIZERS
from minibert.training.schedules import SCHEDULES
from minibert.training.transforms.averaging import AVERAGINGS
from minibert.training.transforms.clipping import CLIPPED_SHARES, CLIPPINGS
from minibert.training.transforms.layer_rates import LAYER_RATES


@pytest.mark.parametrize(
    ("group", "implementations"),
    [
        ("schedule", SCHEDULES), ("optimizer", {*OPTIMIZERS, "lookahead"}), ("clipping", CLIPPINGS),
        ("clipping", CLIPPED_SHARES), ("layer_rates", LAYER_RATES), ("masking", MASKINGS), ("position", POSITIONS),
        ("averaging", AVERAGINGS),
    ],
)  # fmt: skip
def test_the_options_of_a_group_are_those_that_its_room_implements(group, implementations):
    assert set(VARIANTS[group]) == set(implementations)


@pytest.mark.parametrize(
    ("schema", "field", "implementations"),
    [
        (ModelConfig, "init", INITIALIZERS), (PacedCurriculumConfig, "pacing", PACINGS),
        (ModelConfig, "activation", {*GATED, *ACTIVATIONS} - {"silu"}),
        (ScheduledMaskingConfig, "chosen", set(MASKINGS) - {"scheduled", "adaptive"}),
    ],
)  # fmt: skip
def test_the_choices_of_a_setting_are_those_that_its_room_implements(schema, field, implementations):
    (choices,) = (item.metadata["choices"] for item in fields(schema) if item.name == field)
    assert set(choices) == set(implementations)


def test_a_changing_rate_chooses_tokens_as_the_maskings_of_a_fixed_rate_do():
    assert set(CHOICES) <= set(VARIANTS["masking"])


@pytest.mark.parametrize(
    "option", [name for name in shipped_options() if "/" in name and name.partition("/")[0] not in OVERLAYS]
)
def test_a_file_of_conf_states_no_number_that_its_schema_states(option):
    group, _, rest = option.partition("/")
    file = shipped_options()[option]
    place = "model" if "@package model\n" in file.read_text() else group
    schema = VARIANTS.get(group, {}).get(rest) or get_type_hints(Config).get(place)
    defaults = {item.name: item.default for item in fields(schema)} if schema else {}
    values = OmegaConf.to_container(stated_values(file), resolve=False)
    repeated = {key for key, value in values.items() if value == defaults.get(key) and not isinstance(value, str)}
    assert repeated == set()
