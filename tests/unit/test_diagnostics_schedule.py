"""Which step a diagnostic sees, what of it, and that it changes nothing."""

import itertools
import json
from fractions import Fraction
from types import MappingProxyType, SimpleNamespace

import numpy as np
import pytest
from support.batches import RandomBatches
from support.records import MemoryRecord
from support.trainers import small_config, small_model, small_trainer

from minibert.config import AdamWConfig, Config, DiagnosticsConfig
from minibert.config.optimizers import LookaheadConfig
from minibert.diagnostics.catalogue import (
    built_in,
    check_names,
    choose,
    drawings,
    names_of_level,
)
from minibert.diagnostics.engine.dispatch import Diagnostics
from minibert.diagnostics.engine.registry import AFTER_UPDATE, INGREDIENTS, Diagnostic, diagnostic
from minibert.errors import MinibertError
from minibert.model.bert import MiniBERT
from minibert.model.dropout import DropoutMasks
from minibert.run import main
from minibert.running.plan import groups, plan
from minibert.training.snapshots import AfterUpdate, BeforeUpdate, Updated
from minibert.training.trainer import Trainer

MODEL = small_model(dropout=0.1, attention_dropout=0.1, dtype="float64")
STEPS = 6


class Kept(MemoryRecord):
    """A record that keeps documents and figures too."""

    def __init__(self):
        super().__init__()
        self.documents, self.figures = {}, {}

    def log_dict(self, content, path):
        self.documents[path] = content

    def log_figure(self, figure, path):
        self.figures[path] = figure


def train(functions, steps=frozenset(range(STEPS + 1)), lanes=2, **groups):
    """A short training, seen by functions: (parameters at every step, what was recorded, the trainer)."""
    config = small_config(MODEL, STEPS, **groups)
    config.training.lanes = lanes
    chosen = [Diagnostic(name, every, function, frozenset(asks)) for name, every, function, asks in functions]
    record = Kept()
    diagnostics = Diagnostics(chosen, steps, STEPS, record)
    trainer = small_trainer(config, RandomBatches(), diagnostics, "the data", RandomBatches().at(99))
    params = []
    with trainer:
        trainer.train([lambda trainer, _: params.append(trainer.params.vector.copy())])
    return params, record, trainer


def everything(seen):
    names = [name for name in INGREDIENTS if name != "record"]

    def look(**found):
        seen.append(found)
        return {"after/loss": found["after"].loss}

    return [("everything", "log", look, names)]


@pytest.mark.parametrize("optimizer", [AdamWConfig(), LookaheadConfig(period=2)])
def test_looking_changes_no_bit_of_training(optimizer):
    watched, _, trainer = train(everything([]), optimizer=optimizer)
    blind, _, other = train([], optimizer=optimizer)
    assert all(one.tobytes() == two.tobytes() for one, two in zip(watched, blind, strict=True))
    assert trainer.progress.tokens_seen == other.progress.tokens_seen


def test_all_that_is_seen_belongs_to_the_parameters_of_the_step():
    seen = []

    def look(step, params_before, update, gradients, lane_gradients, previous_gradient, loss, batch, after):
        seen.append(
            {
                "step": step,
                "params": params_before.vector.copy(),
                "update": update.vector.copy(),
                "loss": loss,
                "gradients": gradients.vector.copy(),
                "lanes": sum(lane_gradients),
                "batch": batch,
                "previous": None if previous_gradient is None else previous_gradient.copy(),
                "after": (after.loss, after.gradients.vector.copy()),
            }
        )
        return {}

    asks = look.__code__.co_varnames[: look.__code__.co_argcount]
    params, _, _ = train([("look", "log", look, asks)])
    assert [found["step"] for found in seen] == list(
        range(1, STEPS)
    )  # no gradient before the first, no update at the end
    for found in seen:
        step = found["step"]
        np.testing.assert_array_equal(found["params"], params[step])
        np.testing.assert_allclose(found["update"], params[step + 1] - params[step], atol=1e-15)
        model = MiniBERT(MODEL, seed=1)
        for vector, loss, gradient in (
            (params[step], found["loss"], found["gradients"]),
            (params[step + 1], *found["after"]),
        ):
            model.params.vector[:] = vector
            batch = RandomBatches().at(step)
            expected, gradients = model.loss_and_gradients(
                batch.input_ids, batch.labels, masks=DropoutMasks(5, step, 0)
            )
            assert loss == pytest.approx(expected, rel=1e-12)
            np.testing.assert_allclose(gradient, gradients.vector, atol=1e-14)
        np.testing.assert_allclose(found["lanes"], found["gradients"], atol=1e-15)
    for earlier, later in itertools.pairwise(seen):
        np.testing.assert_array_equal(later["previous"], earlier["gradients"])


def test_caches_hold_the_whole_batch_lane_by_lane():
    def look(step, caches, batch, probe, initial, data):
        ids = np.concatenate([cache.embeddings.input_ids for cache in caches])
        np.testing.assert_array_equal(ids, batch.input_ids)
        assert probe.logits.shape == (6, 12, 50)
        assert data == "the data"
        return {"moved": float(np.abs(caches[0].hidden_states[-1]).sum()), "initial": initial.norm()}

    _, record, _trainer = train(
        [("look", "log", look, ("step", "caches", "batch", "probe", "initial", "data"))], {0, 3, STEPS}
    )
    assert record.tags == {}
    assert list(record.metrics["moved"]) == [0, 3, STEPS]
    assert set(record.metrics["initial"].values()) == {MiniBERT(MODEL, seed=1).params.norm()}


def test_one_lane_has_no_lane_gradients_to_compare():
    _, record, _ = train([("noise", "log", lambda lane_gradients: 1.0, ("lane_gradients",))], lanes=1)
    assert record.metrics == {}


def test_what_is_asked_for_every_few_steps_or_at_the_end_is_seen_then():
    _, record, _ = train(
        [
            ("often", 2, lambda loss: loss, ("loss",)),
            ("last", "end", lambda step: step, ("step",)),
            ("log", "log", lambda step: step, ("step",)),
        ],
        {0, 1},
    )
    assert list(record.metrics["often"]) == [0, 2, 4, 6]
    assert record.metrics["last"] == {STEPS: STEPS}
    assert list(record.metrics["log"]) == [0, 1]


def test_findings_are_recorded_by_their_type():
    def look(step):
        return {
            "number": 0.5, "array": np.arange(3), "text": "word", "list": [1], "nothing": None,
            "zero_dimensional": np.float32(2),
        }  # fmt: skip

    _, record, _ = train([("mixed", "end", look, ("step",))])
    assert record.metrics == {"number": {STEPS: 0.5}, "zero_dimensional": {STEPS: 2.0}}
    assert list(record.stored["mixed"][STEPS]) == ["array"]
    assert record.tags == {"text": "word"}
    assert record.documents == {"list.json": [1]}


def test_the_last_update_is_seen_at_the_step_that_it_leads_to():
    seen = []

    def look(model, update, step):
        seen.append((step, update.vector.copy(), model.params.vector.copy()))
        return {"size": update.norm()}

    params, record, _ = train([("last_update", "end", look, ("model", "update", "step"))])
    ((step, update, after),) = seen
    assert step == STEPS - 1
    np.testing.assert_array_equal(after, params[-1])
    np.testing.assert_array_equal(update, params[-1] - params[-2])
    assert list(record.metrics["size"]) == [STEPS]


def test_one_that_fails_is_left_out_and_the_run_goes_on(caplog):
    def fails(step):
        raise ValueError(f"at {step}")

    params, record, _ = train(
        [("broken", "log", fails, ("step",)), ("sound", "log", lambda loss: loss, ("loss",))]
    )
    assert len(params) == STEPS + 1
    assert record.tags == {"diagnostics.failed.broken": "step 0: ValueError: at 0"}
    assert len(record.metrics["sound"]) == STEPS + 1
    assert caplog.text.count("diagnostic broken failed at step 0") == 1


class Undrawable:
    """As a figure whose axes have limits that are no numbers."""

    def savefig(self, *_, **__):
        raise IndexError("axis limits cannot be NaN")


class Odd:
    def __repr__(self):
        return "<odd>"


UNRECORDABLE = {
    "complex": 1 + 2j, "complex of NumPy": np.complex64(1j), "object": Odd(), "bytes": b"5", "set": {1},
    "huge": 10**400, "array of objects": np.array([Odd(), 1], object), "figure": Undrawable(),
    "list in itself": [], "keys that are tuples": {(1, 2): 3},
    "topk/accuracy@5": 0.5, "a//b": 1.0, "../up": "text", "/root": [1], "": 1.0, "x" * 200: 1.0,
    "minibert.config_hash": "forged", "mlflow.runName": "forged", 5: 1.0, None: 1.0, ("a", "b"): np.ones(2),
}  # fmt: skip
UNRECORDABLE["list in itself"].append(UNRECORDABLE["list in itself"])


class Drawing(Kept):
    """A record that encodes what it is given, as the store's does."""

    def log_dict(self, content, path):
        super().log_dict(json.loads(json.dumps(content, default=str)), path)

    def log_figure(self, figure, path):
        figure.savefig(path)
        super().log_figure(figure, path)


@pytest.mark.parametrize("key", UNRECORDABLE, ids=str)
def test_a_value_that_cannot_be_recorded_is_left_out_alone_and_reported_once(key, caplog):
    def look(step):
        return {"before": 1.0, key: UNRECORDABLE[key], "after": 2.0, "array": np.ones(2)}

    record = Drawing()
    diagnostics = Diagnostics([Diagnostic("mixed", "log", look, frozenset({"step"}))], range(3), 3, record)
    for step in range(3):
        diagnostics.run_due(SimpleNamespace(step=step), updated=False)
    assert record.metrics == {"before": dict.fromkeys(range(3), 1.0), "after": dict.fromkeys(range(3), 2.0)}
    assert [list(arrays) for looks in record.stored.values() for arrays in looks.values()] == [["array"]] * 3
    assert (record.documents, record.figures) == ({}, {})
    assert list(record.tags) == ["diagnostics.left_out.mixed"]
    assert list(diagnostics.left_out["mixed"]) == [str(key)] and not diagnostics.failed
    assert caplog.text.count("is not recorded (step 0)") == 1 == caplog.text.count("is not recorded")


@pytest.mark.parametrize(
    ("value", "recorded"),
    [(np.float16(0.5), 0.5), (np.int64(3), 3.0), (np.bool_(True), 1.0), (np.array(2), 2.0), (Fraction(1, 2), 0.5)],
)
def test_every_real_number_is_a_metric_whatever_its_type(value, recorded):
    _, record, _ = train([("one", "end", lambda step: value, ("step",))])
    assert record.metrics == {"one": {STEPS: recorded}} and record.tags == {}


@pytest.mark.parametrize("found", [(1, 2), {"a": {"b": {"c": 1}}}, MappingProxyType({"a": [1]})])
def test_what_is_nested_is_a_document(found):
    _, record, _ = train([("one", "end", lambda step: {"kept": found}, ("step",))])
    assert list(record.documents) == ["kept.json"] and record.tags == {}


def test_a_mapping_of_any_kind_is_taken_apart():
    _, record, _ = train([("one", "end", lambda step: MappingProxyType({"a": 1, "b": None}), ("step",))])
    assert record.metrics == {"a": {STEPS: 1.0}} and record.tags == {}


def test_the_tag_for_a_diagnostic_has_a_name_that_mlflow_takes():
    _, record, _ = train([("top@5", "end", lambda step: 1 / 0, ("step",))])
    assert list(record.tags) == ["diagnostics.failed.top_5"]


def test_a_store_that_fails_is_not_taken_for_the_fault_of_a_diagnostic():
    class Full(Kept):
        def log_arrays(self, name, step, arrays):
            raise MinibertError("disk full")

    diagnostics = Diagnostics(
        [Diagnostic("one", "log", lambda step: np.ones(2), frozenset({"step"}))], [0], 1, Full()
    )
    with pytest.raises(MinibertError, match="disk full"):
        diagnostics.run_due(SimpleNamespace(step=0), updated=False)


def test_the_gradient_before_is_kept_across_a_checkpoint(tmp_path):
    def cosine(previous_gradient, gradients):
        return {"product": float(previous_gradient @ gradients.vector)}

    functions = [("cosine", "log", cosine, ("previous_gradient", "gradients"))]
    _, uninterrupted, _ = train(functions, {4})
    config = Config(model=MODEL)
    config.seeds.dropout, config.training.steps = 5, STEPS
    chosen = [Diagnostic(name, every, function, frozenset(asks)) for name, every, function, asks in functions]
    record = Kept()
    for part in range(2):
        trainer = Trainer(
            MiniBERT(MODEL, seed=1), RandomBatches(), config, (), Diagnostics(chosen, {4}, STEPS, record)
        )
        with trainer:
            if part:
                trainer.resume(tmp_path / "resume.safetensors")
            for _ in range(4 if not part else 1):
                trainer.step()
            trainer.save(tmp_path / "resume.safetensors")
    assert record.metrics == uninterrupted.metrics != {}


def offered(moment):
    return {name for name in INGREDIENTS if name in moment.__dataclass_fields__ or hasattr(moment, name)}


def test_ingredients_are_what_a_step_offers_before_and_after_its_update():
    assert offered(AfterUpdate) == set(INGREDIENTS) - {"record"}
    assert offered(BeforeUpdate) == offered(AfterUpdate) - AFTER_UPDATE
    assert offered(Updated) > AFTER_UPDATE - {"after"}


@pytest.mark.parametrize(
    ("register", "message"),
    [
        (lambda: diagnostic("new")(lambda gradient: 0.0), "did you mean 'gradients'"),
        (lambda: diagnostic("new", every=0), "every=0"),
        (lambda: diagnostic("weight_spectra")(lambda step: 0.0), "has registered this name"),
        (lambda: choose(["weight_spectrum"]), "did you mean 'weight_spectra'"),
        (lambda: choose([], ["no_such_module"]), "no_such_module: cannot be imported"),
        (lambda: choose([], [""]), "no name of a module"),
        (lambda: choose([], ["folder/mine.py"]), "no name of a module.*without its .py"),
        (lambda: choose([], ["json"]), "json: it registers nothing"),
        (lambda: check_names(DiagnosticsConfig(figures=["trainin"])), "did you mean 'training'"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_way_out(register, message):
    choose(["weight_spectra"])
    with pytest.raises(MinibertError, match=message):
        register()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise ValueError('boom')", r"ended in ValueError: boom \(.*, line 1\)"),
        ("import sys\nsys.exit(3)", r"ended in SystemExit: 3 \(.*, line 2\)"),
        ("def broken(:", "ended in SyntaxError"),
        ("import no_such_package", "cannot be imported .*no_such_package"),
        (
            "from minibert.diagnostics import diagnostic\n@diagnostic('own')\ndef own(gradient): ...",
            "own_.*: argument of diagnostic own: .*did you mean 'gradients'",
        ),
    ],
)
def test_a_module_that_cannot_be_imported_is_one_message(tmp_path, monkeypatch, text, message):
    name = f"own_{abs(hash(text))}"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MinibertError, match=message):
        choose([], [name])


def test_a_package_brings_what_its_modules_register(tmp_path, monkeypatch):
    package = tmp_path / "own_package"
    package.mkdir()
    (package / "__init__.py").write_text("from own_package import inner")
    (package / "inner.py").write_text(
        "from minibert.diagnostics import diagnostic\n\n@diagnostic('from_inner')\ndef inner(loss): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert [each.name for each in choose([], ["own_package"])] == ["from_inner"]


@pytest.mark.parametrize(
    "words",
    [
        ["diagnostics.quantities=[nope]"], ["diagnostics.figures=[nope]"], ["diagnostics.modules=[nope]"],
        ["--multirun", "seed=0,1", "diagnostics.quantities=[nope]"],
        ["--multirun", "diagnostics.figures=[training],[nope]"],
    ],
)  # fmt: skip
def test_names_that_there_are_not_are_refused_before_anything_is_recorded(tmp_path, capsys, words):
    assert main([*words, f"tracking.folder={tmp_path}/runs"]) == 2
    assert "nope" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("level", groups()["diagnostics"])
def test_every_level_names_diagnostics_and_rooms_that_there_are(level):
    (job,) = plan([f"diagnostics={level}"], multirun=False).jobs
    settings = job.config.diagnostics
    assert settings.name == level
    assert [each.name for each in choose(settings.quantities)] == settings.quantities
    assert drawings(settings.figures)


def test_the_lists_of_conf_follow_from_the_level_that_each_diagnostic_states():
    for level in ("light", "standard", "full"):
        (job,) = plan([f"diagnostics={level}"], multirun=False).jobs
        assert job.config.diagnostics.quantities == names_of_level(level) != []
    assert names_of_level("off") == []
    assert all(each.level for each in built_in())


def test_a_level_that_there_is_not_is_refused_with_the_nearest_one():
    with pytest.raises(MinibertError, match="did you mean 'light'"):
        diagnostic("new", level="ligth")
    with pytest.raises(MinibertError, match="did you mean 'full'"):
        names_of_level("ful")


def test_light_is_part_of_standard_and_standard_of_full():
    light, standard, full = (
        set(plan([f"diagnostics={level}"], multirun=False).jobs[0].config.diagnostics.quantities)
        for level in ("light", "standard", "full")
    )
    assert light < standard < full


def test_a_diagnostic_of_the_end_is_announced_by_name_before_it_looks_and_no_other_is():
    done = []
    chosen = [
        Diagnostic("loss_landscape", "end", lambda record: done.append("looked") or {}, frozenset({"record"})),
        Diagnostic("quick", "log", lambda record: {}, frozenset({"record"})),
    ]
    diagnostics = Diagnostics(chosen, range(STEPS), STEPS, record=None)
    diagnostics.announce = done.append
    diagnostics.conclude()
    assert done == ["loss landscape", "looked"]
