"""Refusals of what composes but misleads: settings without effect, and comparisons of too many factors."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from minibert.command_line.settings import closest, filled_keys, groups, settings
from minibert.command_line.words import Word
from minibert.config import VARIANTS, Config
from minibert.config.data import ChangingMaskingConfig
from minibert.config.evaluation import ASKED_AFTERWARDS, INSTRUMENTS
from minibert.diagnostics.catalogue import metric_rooms
from minibert.diagnostics.range_test.recorded import METRICS as RANGE_TEST_METRICS
from minibert.errors import MinibertError, hint, nearest
from minibert.evaluation.catalogue import enabled

METRICS = (
    "train/loss", "train/learning_rate", "train/tokens_per_second", "eval/loss", "eval/masked_accuracy",
    "eval/perplexity", "eval/bits_per_byte", "eval/nats_below_unigram", "tokens_seen",
    "tokens_predicted", "flops", "seconds", "gradient_norm/global",
)  # fmt: skip
"""Metrics of every run"""
ROOMS = ("gradient_norm", "memory", "baseline", "data")
"""Rooms of metrics of every run, one a part of the network, of memory or of the text."""

CHANGE_NO_RUN = ("tracking.", "study.", "data.cache.")
"""Beginnings of the keys, and of groups, that say where a run is recorded and what its sweep is for"""


def refuse_idle_settings(words: Iterable[Word], configs: Sequence[Config]) -> None:
    """Refuse a word that changes nothing in any of the runs. Raises :class:`MinibertError`."""
    for word in words:
        if word.is_hydra or word.values == ("null",):
            continue
        if word.swept and (word.key == "evaluation" or word.key.startswith(ASKED_AFTERWARDS)):
            raise MinibertError(
                f"{word.given}: runs that differ in this alone are one run, because instruments are asked after "
                "training. Allowed: one value. `python -m minibert.evaluate sweep=last` asks the runs again."
            )
        if word.swept and len(word.values) > 1 and f"{word.key}.".startswith(CHANGE_NO_RUN):
            raise MinibertError(
                f"{word.given}: runs that differ in this alone are one run, because it changes nothing that they "
                "compute. Allowed: one value for the whole sweep."
            )
        reasons = [_idle(word.key, config) for config in configs]
        if all(reasons):
            raise MinibertError(f"{word.given}: {reasons[0]}")
        for config in configs:
            _refuse_empty_lanes(word, config)


def check_study(config: Config, swept: Sequence[Word]) -> None:
    """Refuse a study of a metric that no run records, and a sweep over more than it compares.

    The runs of a comparison differ only in the factor, in the setting that is tuned for each of its values, and in
    the seed. ``config`` is that of any run. Raises :class:`MinibertError`.
    """
    study = config.study
    for name in ("factor", "tuned"):
        if getattr(study, name) is not None:
            _check_key(f"study.{name}", getattr(study, name))
    check_metric(study.metric, config)
    if study.factor is None:
        return
    compared = [key for key in (study.factor, study.tuned) if key]
    for word in swept:
        fills = filled_keys(word.key) if word.is_group else {word.key}
        if not fills & {*compared, "seed"} and not word.key.startswith("seeds."):
            raise MinibertError(
                f"{word.given}: is swept, but the study compares study.factor={study.factor}, and the means of "
                f"its values would mix the others. Allowed in this sweep: {', '.join([*compared, 'seed'])}. "
                f"Give {word.key} one value, or set study.factor=null, which compares every combination."
            )


def check_compared_runs(configs: Sequence[Config], swept: Sequence[Word]) -> None:
    """Refuse a study in which two runs have the same factor and seed. Raises :class:`MinibertError`."""
    study = configs[0].study
    compared = [key for key in (study.factor, study.tuned) if key]
    for key in compared:
        if not any(_has(config, key) for config in configs):
            role = "factor" if key == study.factor else "tuned"
            raise MinibertError(
                f"study.{role}={key}: no run of this sweep has it, with the options chosen. "
                "Allowed: a setting of these runs."
            )
    seen: dict[tuple, Config] = {}
    for config in configs if study.factor else ():
        identity = (*(str(value_at(config, key)) for key in compared), *asdict(config.seeds).values())
        if seen.setdefault(identity, config) != config:
            given = " ".join(word.given for word in swept)
            raise MinibertError(
                f"{given}: two of the runs have the same {', '.join(compared)} and seed. "
                "Compare what differs between them (study.factor=...), or give it one value."
            )


def value_at(config: Any, key: str) -> Any:
    """The value of a setting, or None if the options chosen have no such setting."""
    for part in key.split("."):
        config = getattr(config, part, None)
    return config


def _idle(key: str, config: Config) -> str | None:
    """Why a setting has no effect on a run, and what is allowed; None if it has an effect."""
    group = key.split(".")[0]
    if (group == "masking" or key == "training.softmax_words") and not config.objective.mlm:
        return "has no effect without masked tokens to predict. Allowed with objective.mlm=true."
    if key not in settings():
        return None
    if key == "model.auxiliary_heads":
        return "follows from the tasks that are learnt. Set these: objective=..., or objective.nsp=1."
    owner = key.rpartition(".")[0]
    for option_group in (*VARIANTS, "objective", "diagnostics"):
        if f"{_place(option_group)}.name" == key:
            chosen, schemas = value_at(config, owner), VARIANTS.get(option_group)
            if schemas is None or schemas.get(chosen.name) is not type(chosen):
                return f"names an option, but does not choose it. Allowed: {option_group}={chosen.name}."
    needed = settings()[key].field.metadata.get("only_with", {})
    neighbours = {field: getattr(value_at(config, owner), field, None) for field in needed}
    if not needed or any(_allows(values, neighbours[field]) for field, values in needed.items()):
        return None
    now = ", ".join(f"{owner}.{field}={value}" for field, value in neighbours.items() if value is not None)
    wanted = [
        f"{_word(owner, field)}={'1' if values is True else ' or '.join(values)}"
        for field, values in needed.items()
        if neighbours[field] is not None
    ]
    return f"has no effect with {now}. Allowed: {key} with {', or '.join(wanted)}."


def _allows(values: tuple | bool, value: Any) -> bool:
    return bool(value) if values is True else value in values


def _word(owner: str, field: str) -> str:
    """The word that sets a neighbouring field: its group, if the field names the option."""
    return owner if field in ("name", "source") else f"{owner}.{field}"


def _place(group: str) -> str:
    return f"model.{group}" if group == "position" else group


def _refuse_empty_lanes(word: Word, config: Config) -> None:
    training = config.training
    share = training.batch_size // training.accumulation
    if word.key == "training.lanes" and training.lanes > share:
        parts = f" / training.accumulation={training.accumulation}" if training.accumulation > 1 else ""
        raise MinibertError(
            f"training.lanes={training.lanes}: more threads than sequences, so some would have nothing to do. "
            f"Allowed: at most {share} (training.batch_size={training.batch_size}{parts})."
        )


def _check_key(name: str, key: str) -> None:
    """Refuse a key that no run records."""
    recorded = [known for known in settings() if not known.startswith(("tracking.", "study."))]
    if key in groups():
        wanted = [known for known in recorded if known in filled_keys(key)]
        meant = next((known for known in wanted if known.endswith(".name")), wanted[0] if wanted else "")
        raise MinibertError(f"{name}={key}: is a group, and runs record what it sets. Allowed: {name}={meant}.")
    if key not in recorded:
        raise MinibertError(
            f"{name}={key}: no run records this{hint(closest(key, key, recorded))}. "
            "Allowed: the key of a setting, such as masking.rate or optimizer.name."
        )


def _has(config: Any, key: str) -> bool:
    *parents, last = key.split(".")
    return hasattr(value_at(config, ".".join(parents)) if parents else config, last)


def check_metric(metric: str, config: Config) -> None:
    """Refuse the name of a metric that a run of this configuration does not record."""
    if config.diagnostics.modules:  # one's own diagnostics may record anything
        return
    known = [*METRICS, *_occasional_metrics(config)]
    room, _, rest = metric.partition("/")
    rooms = [*ROOMS, *(metric_rooms() if config.diagnostics.quantities else ())]
    rooms += enabled(config.evaluation)
    if metric in known or (rest and room in rooms) or _is_rate(metric, config):
        return
    if rest and room in INSTRUMENTS:
        raise MinibertError(
            f"study.metric={metric}: an instrument records it that is not asked. Allowed: with "
            f"evaluation.{room}.enabled=true, or the option of the group evaluation that has it."
        )
    if metric in RANGE_TEST_METRICS:
        raise MinibertError(
            f"study.metric={metric}: only a learning-rate range test records it. Allowed: schedule=range_test."
        )
    if room in metric_rooms() and rest:
        raise MinibertError(
            f"study.metric={metric}: a diagnostic records it, and diagnostics.quantities=[] takes none. "
            "Allowed: diagnostics=light, standard or full."
        )
    rates = [f"eval/loss_at_rate/{rate:.2f}" for rate in config.evaluation.rates]
    meant = nearest(metric, [*known, *rates, *(f"{each}/..." for each in rooms)])
    raise MinibertError(
        f"study.metric={metric}: no run records this{meant}. Allowed: {', '.join([*known, *rates])}, or what a "
        "diagnostic records, such as attention_entropy/layer_0/head_1."
    )


def _occasional_metrics(config: Config) -> list[str]:
    """The metrics that a run of this configuration records besides :data:`METRICS`."""
    found = [f"train/{task}_{what}" for task in ("mlm", *config.objective.tasks) for what in ("loss", "accuracy")]
    found += RANGE_TEST_METRICS if config.schedule.name == "range_test" else ()
    found += ["masking/rate"] if isinstance(config.masking, ChangingMaskingConfig) else []
    stages = {"none": [], "short_rows": ["curriculum/sequence_length"]}
    found += stages.get(config.curriculum.name, ["curriculum/share"])
    found += ["train/clipped_share"] if config.clipping.name != "none" else []
    return found


def _is_rate(metric: str, config: Config) -> bool:
    """Whether the metric is the held-out loss at one of ``evaluation.rates``."""
    start, _, rate = metric.rpartition("/")
    try:
        given = float(rate)
        return start == "eval/loss_at_rate" and any(abs(given - one) < 1e-9 for one in config.evaluation.rates)
    except ValueError:
        return False
