"""What the benchmarks work out from what they measured; nothing here is timed."""

import io

import numpy as np
import pytest
from rich.console import Console

from minibert.command_line.terminal import print_table
from minibert.config import register
from minibert.diagnostics.catalogue import names_of_level
from minibert.diagnostics.engine.dispatch import PASS_AFTER, PROBE_PASS
from minibert.diagnostics.engine.registry import Diagnostic
from minibert.running.plan import plan
from tests.benchmarks import step_profile
from tests.benchmarks.contenders import CONTENDERS, Contender
from tests.benchmarks.contenders import Entry as ContenderEntry
from tests.benchmarks.contenders.recipes import sizes
from tests.benchmarks.diagnostics import Cost, levels_within, sums
from tests.benchmarks.kernels import kernel_choices
from tests.benchmarks.looking import END, HOLDING, LAST_PASS, LOG, REGULAR, Looked, MemoryRecord, count_looks
from tests.benchmarks.optimizers import IN_TORCH, NAMES, STEP, TORCH, entries_of, share_of_step, typical
from tests.benchmarks.report import Measurement, comparison_table, verdict_table, verdicts
from tests.benchmarks.train_step import parse
from tests.benchmarks.worker import take_steps
from tests.benchmarks.workload import BASE, SHAPES, Shape


def diagnostic(name, every, *asks):
    return Diagnostic(name, every, lambda **found: {}, frozenset(asks))


def test_looks_are_those_of_the_schedule_and_shared_passes_count_once():
    chosen = [
        diagnostic("spectra", "log", "model"),
        diagnostic("hidden", "log", "probe"),
        diagnostic("geometry", "log", "probe"),
        diagnostic("updates", "log", "update", "after"),
        diagnostic("noise", 2, "gradients"),
        diagnostic("cosine", 2, "previous_gradient", "probe"),
        diagnostic("landscape", "end", "probe"),
        diagnostic("health", "end", "record"),
    ]
    assert dict(count_looks(chosen, [0, 1, 2, 4, 6], 6)) == {
        ("spectra", LOG): 5, ("hidden", LOG): 5, ("geometry", LOG): 5,
        ("updates", LOG): 4,  # no update after the last step
        ("noise", REGULAR): 4,
        ("cosine", REGULAR): 3,  # no gradient before the first step
        ("landscape", END): 1, ("health", END): 1,
        (PROBE_PASS, LOG): 5, (PASS_AFTER, LOG): 4, (HOLDING, LOG): 4, (LAST_PASS, END): 1,
    }  # fmt: skip


def test_a_pass_counts_as_log_spaced_before_it_counts_as_regular_or_of_the_end():
    chosen = [
        diagnostic("often", 2, "probe"), diagnostic("rare", "log", "probe"), diagnostic("last", "end", "probe")
    ]  # fmt: skip
    looks = count_looks(chosen, [0, 1], 5)
    assert looks[PROBE_PASS, LOG] == 2  # steps 0 and 1
    assert looks[PROBE_PASS, REGULAR] == 2  # 2 and 4
    assert looks[PROBE_PASS, END] == 1  # 5


def test_nobody_looks_and_nothing_is_shared():
    assert not count_looks([], [0, 1, 2], 10)


def test_seconds_of_a_look_are_the_median_and_none_where_there_were_none():
    looked = Looked([1.0, 2.0, 9.0], {"a": [3.0, 1.0, 2.0], "b": [1.0]}, {"a": 7.0}, {"b": "it failed"})
    assert looked.step == 2.0
    assert (looked.seconds("a", LOG), looked.seconds("a", END)) == (2.0, 7.0)
    assert looked.seconds("b", LOG) is looked.seconds("c", REGULAR) is None


def test_costs_add_up_by_schedule():
    found = [Cost("a", LOG, 0.5, 4), Cost("b", LOG, 1.0, 1), Cost("c", REGULAR, 0.01, 200)]
    assert sums(found) == pytest.approx({LOG: 3.0, REGULAR: 2.0, END: 0.0})


def test_levels_are_summed_where_all_they_name_was_measured():
    full = set(names_of_level("full"))
    assert list(levels_within(full)) == ["off", "light", "standard", "full"]
    assert list(levels_within(full - {"weight_spectra"})) == ["off"]


def test_the_record_in_memory_gives_back_what_was_logged():
    record = MemoryRecord()
    for step in (4, 0):
        record.log({"loss/a": step / 2, "other": 1}, step)
    record.log_arrays("maps", 2, {"weights": np.ones(3)})
    assert record.history("loss/a") == ([0, 4], [0.0, 2.0])
    assert record.history("unknown") == ([], [])
    assert record.metric_names("loss/") == ["loss/a"]
    assert list(record.arrays("maps")) == [2]


def test_work_of_every_fifth_step_is_shared_out_and_an_outlier_is_not():
    seconds = np.tile([1.0, 1.0, 1.0, 1.0, 6.0], 3)
    seconds[5] = 100.0
    assert typical(seconds) == 2.0
    assert typical(seconds, period=1) == 1.0


def test_the_share_is_of_a_step_with_the_optimizer_in_place_of_adamw():
    assert share_of_step(optimizer=5.0, adamw=5.0, step=100.0) == 0.05
    assert share_of_step(optimizer=105.0, adamw=5.0, step=100.0) == 0.525


def test_every_optimizer_is_measured_and_torch_beside_those_it_has():
    entries = entries_of(list(NAMES))
    assert set(entries) == {STEP, *NAMES, *(TORCH + name for name in IN_TORCH)}
    assert entries[STEP] is CONTENDERS["minibert"]
    assert {name for name in NAMES if entries[name].options["clipped"]} == {"adamw_clipped"}
    assert all(("torch" in entry.needs) == name.startswith(TORCH) for name, entry in entries.items())


def test_what_a_contender_prepares_is_off_the_clock_and_done_for_every_step(monkeypatch):
    now = [0.0]

    class Slow(Contender):
        amortised_seconds = 0.25

        def prepare(self):
            now[0] += 100.0

        def step(self):
            now[0] += 1.0
            return now[0]

    monkeypatch.setattr("tests.benchmarks.worker.time.perf_counter", lambda: now[0])
    seconds, losses = take_steps(Slow(), 2)
    assert seconds == [1.25, 1.25]
    assert losses == [101.0, 202.0, 303.0]


def chosen_kernels(environment) -> str:
    return environment.get("OPENBLAS_CORETYPE", "SkylakeX")


def test_kernels_of_the_environment_and_of_numpys_own_choice_are_both_measured():
    named = {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_L2_SIZE": "524288", "HOME": "/home"}
    given, own = kernel_choices(environment=named, ask=chosen_kernels)
    assert (given.name, own.name) == ("Haswell", "SkylakeX")
    assert given.environment == named
    assert own.environment == {"HOME": "/home"}


def test_kernels_that_are_numpys_own_choice_as_well_are_measured_once():
    (only,) = kernel_choices(environment={"OPENBLAS_CORETYPE": "SkylakeX"}, ask=chosen_kernels)
    assert only.name == "SkylakeX" and only.origin == "as the environment says, and NumPy's own choice"


@pytest.fixture
def avx512(monkeypatch):
    monkeypatch.setattr("tests.benchmarks.kernels.processor_instructions", lambda: {"avx2", "avx512f"})


@pytest.mark.usefixtures("avx512")
def test_avx2_kernels_stand_beside_numpys_own_choice_where_the_environment_names_none():
    own, other = kernel_choices(environment={"HOME": "/home"}, ask=chosen_kernels)
    assert (own.name, other.name) == ("SkylakeX", "Haswell")
    assert own.environment == {"HOME": "/home"}
    assert other.environment == {"HOME": "/home", "OPENBLAS_CORETYPE": "Haswell"}


@pytest.mark.usefixtures("avx512")
def test_numpys_own_choice_is_alone_where_it_is_of_avx2_or_the_processor_has_none(monkeypatch):
    asked = []
    (only,) = kernel_choices(environment={}, ask=lambda environment: asked.append(environment) or "Zen")
    assert len(asked) == 1 and only.name == "Zen"
    monkeypatch.setattr("tests.benchmarks.kernels.processor_instructions", lambda: {"sse2"})
    (only,) = kernel_choices(environment={}, ask=chosen_kernels)
    assert only.name == "SkylakeX"


@pytest.mark.usefixtures("avx512")
def test_kernels_can_be_chosen():
    def names(choices, environment):
        return [kernels.name for kernels in kernel_choices(choices, environment, chosen_kernels)]

    assert names(["avx2"], {}) == ["Haswell"]
    assert names(["avx2", "own"], {}) == ["Haswell", "SkylakeX"]
    assert names(["own"], {"OPENBLAS_CORETYPE": "Cooperlake"}) == ["SkylakeX"]


def test_avx2_kernels_that_the_processor_cannot_run_are_refused(monkeypatch, capsys):
    monkeypatch.setattr("tests.benchmarks.kernels.processor_instructions", lambda: {"sse2"})
    with pytest.raises(SystemExit):
        parse(["--kernels", "avx2"])
    assert "--kernels avx2: this processor is not known to have AVX2" in capsys.readouterr().err


def test_a_contender_that_cannot_take_part_says_why(monkeypatch):
    monkeypatch.setattr("tests.benchmarks.contenders.processor_instructions", lambda: {"avx2"})
    here = ContenderEntry("products", "Products", instruction="avx2")
    assert here.obstacle() is None
    assert "no_such_package" in str(ContenderEntry("pytorch", "Eager", ("no_such_package",)).obstacle())
    assert "avx512_bf16" in str(ContenderEntry("pytorch", "Eager", instruction="avx512_bf16").obstacle())
    assert "conf/recipe/none.yaml" in str(ContenderEntry("recipes", "Recipe", file="recipe/none.yaml").obstacle())


def measured_at(**milliseconds: float) -> dict[str, Measurement]:
    about = {"memory_imported": 0}
    return {
        name.replace("_", "."): Measurement(
            name.replace("_", "."), about, [[value / 1000] * 3] * 2, [9.0], [0.0, 0.0], peak_memory=1000
        )
        for name, value in milliseconds.items()
    }


def test_targets_depend_on_the_kernels_and_each_needs_both_of_its_contenders():
    measured = measured_at(minibert=50, torch=100, torch_compile=110, sgemm=45, default=60, bert2018=50)
    of_haswell, of_skylake = (
        {verdict.what: verdict for verdict in verdicts("base", measured, kernels)}
        for kernels in ("Haswell", "SkylakeX")
    )
    faster = "time / the faster torch (torch)"
    assert of_haswell[faster].value == pytest.approx(0.5) and of_haswell[faster].met
    assert not of_skylake[faster].met
    assert of_haswell["share of the sgemm ceiling"].value == pytest.approx(0.9)
    assert of_haswell["time of the default recipe / bert2018"].value == pytest.approx(1.2)
    assert not of_haswell["time of the default recipe / bert2018"].met
    assert not verdicts("base", measured_at(torch=1, sgemm=1), "Haswell")


def test_tables_in_a_pipe_have_all_their_words():
    measured, pipe = measured_at(minibert=50, torch=100), io.StringIO()
    console = Console(file=pipe, width=20)
    print_table(console, comparison_table("base", BASE, measured))
    print_table(console, verdict_table(verdicts("base", measured, "Haswell"), True, "Targets"))
    for words in ("contender", "median ms", "minibert / it", "peak MB", "loss 1", "peak memory / torch"):
        assert words in pipe.getvalue()


def test_every_shape_can_be_composed_as_a_recipe():
    register()
    for shape in SHAPES.values():
        config = plan(sizes(shape), multirun=False).jobs[0].config
        assert config.model.hidden_size == shape.hidden_size
        assert config.training.sequence_length == shape.tokens


def test_the_profile_of_a_step_tells_products_apart_and_leaves_numpy_as_it_was():
    shape = Shape(hidden_size=16, layers=2, heads=2, feed_forward_size=32, vocab_size=200, sequences=2, tokens=16)
    before = np.matmul
    seconds = step_profile.profile(shape, steps=2)
    assert np.matmul is before
    assert {step_profile.PRODUCTS, "ops.gelu", "norms.layer_norm", "ops.linear"} <= set(seconds)
    assert list(seconds.values()) == sorted(seconds.values(), reverse=True)
    table = step_profile.table("A step", seconds, count=3)
    assert table.row_count == 3 + 1 + 1
