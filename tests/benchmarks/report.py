"""What was measured, as tables, verdicts and JSON."""

import platform
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from rich.table import Table
from rich.text import Text

from tests.benchmarks.kernels import AVX2
from tests.benchmarks.workload import SHAPES, Shape, needed_flops, physical_cores

MEGABYTE = 1024**2


@dataclass
class Measurement:
    """One contender at one shape."""

    contender: str
    about: dict
    rounds: list[list[float]] = field(default_factory=list)
    """Seconds of every step, by round"""
    losses: list[float] = field(default_factory=list)
    """Of every step from the first one on; NaN where there is none"""
    others: list[float] = field(default_factory=list)
    """Share of the machine that went to other processes, by round"""
    retaken: int = 0
    """Turns that were taken again because of them"""
    peak_memory: int = 0
    """Bytes of the whole process"""

    @property
    def seconds(self) -> np.ndarray:
        return np.concatenate(self.rounds)

    @property
    def quantiles(self) -> tuple[float, float, float]:
        """Tenth percentile, median and ninetieth of a step, in milliseconds."""
        low, median, high = 1000 * np.quantile(self.seconds, (0.1, 0.5, 0.9))
        return float(low), float(median), float(high)

    @property
    def own_memory(self) -> int:
        """Peak memory above what the process held when everything was imported, in bytes."""
        return self.peak_memory - self.about["memory_imported"]


def ratios(one: Measurement, other: Measurement, centre=np.median) -> np.ndarray:
    """centre(one) / centre(other), round by round: what slows the machine for a while slows both."""
    pairs = zip(one.rounds, other.rounds, strict=True)
    return np.array([centre(first) / centre(second) for first, second in pairs])


def median_and_range(by_round: np.ndarray) -> tuple[str, str]:
    return f"{np.median(by_round):.3f}", f"{by_round.min():.3f}-{by_round.max():.3f}"


def comparison_table(title: str, shape: Shape, measured: dict[str, Measurement]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("contender")
    columns = (
        "median ms",
        "10-90 %",
        "mean ms",
        "minibert / it",
        "by round",
        "GFLOP/s",
        "peak MB",
        "own MB",
        "others",
        "loss 1",
    )
    for column in columns:
        table.add_column(column, justify="right")
    flops = needed_flops(shape)
    for name, measurement in measured.items():
        low, median, high = measurement.quantiles
        ratio = rounds = ""
        if "minibert" in measured:
            ratio, rounds = median_and_range(ratios(measured["minibert"], measurement))
        table.add_row(
            name,
            f"{median:.1f}",
            f"{low:.1f}-{high:.1f}",
            f"{1000 * measurement.seconds.mean():.1f}",
            ratio,
            rounds,
            f"{measurement.about.get('flops', flops) / median / 1e6:.0f}",
            f"{measurement.peak_memory / MEGABYTE:.0f}",
            f"{measurement.own_memory / MEGABYTE:.0f}",
            f"{max(measurement.others):.0%}",
            "" if np.isnan(measurement.losses[0]) else f"{measurement.losses[0]:.5f}",
        )
    table.caption_justify = "left"
    table.caption = (
        "minibert / it: time of minibert over time of this contender, median of the rounds and their range. "
        "GFLOP/s: arithmetic that reaches the loss. Own MB: peak above what its imports hold. Others: most that "
        "other processes took of the machine in a turn. Loss 1: of the first step."
    )
    return table


def most_disturbed(measured: dict[str, Measurement]) -> float:
    """The largest share of a turn that went to other processes."""
    return max((max(measurement.others) for measurement in measured.values()), default=0.0)


@dataclass(frozen=True)
class Verdict:
    what: str
    value: float
    bound: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def verdicts(shape: str, measured: dict[str, Measurement], kernels: str) -> list[Verdict]:
    """The targets that can be judged by what was measured under these ``kernels``."""
    found = []
    base = shape == "base"

    def judge(what: str, one: str, other: str, bound: float, centre=np.median, at_least: bool = False) -> None:
        if one in measured and other in measured:
            value = float(np.median(ratios(measured[one], measured[other], centre)))
            found.append(Verdict(what, value, bound, at_least))

    torches = [name for name in ("torch", "torch.compile") if name in measured]
    if torches:
        faster = min(torches, key=lambda name: np.median(measured[name].seconds))
        bound = (0.60 if kernels in AVX2 else 0.42) if base else 0.85
        judge(f"time / the faster torch ({faster})", "minibert", faster, bound)
    judge("time / torch under bfloat16", "minibert", "torch.bfloat16", 0.70)
    judge("mean time of the tracked step / bare step", "tracked", "minibert", 1.05, np.mean)
    judge("time of the default recipe / bert2018", "default", "bert2018", 1.10)
    if not base:
        return found
    judge("time / transformers", "minibert", "transformers", 0.33)
    judge("share of the sgemm ceiling", "sgemm", "minibert", 0.85, at_least=True)
    if "minibert" in measured and "torch" in measured:
        memory = measured["minibert"].peak_memory / measured["torch"].peak_memory
        found.append(Verdict("peak memory / torch", memory, 0.50))
    return found


def verdict_table(found: list[Verdict], quiet: bool, title: str) -> Table:
    """Without a ``quiet`` machine nothing is met or missed: threads that wait for each other suffer most."""
    table = Table(title=title, title_justify="left")
    table.add_column("of minibert")
    for column in ("measured", "target"):
        table.add_column(column, justify="right")
    table.add_column("")
    for verdict in found:
        target = f"{'≥' if verdict.at_least else '≤'} {verdict.bound:.2f}"
        judgement = Text("met") if verdict.met else Text("missed", style="bold red")
        judgement = judgement if quiet else Text("void", style="yellow")
        table.add_row(verdict.what, f"{verdict.value:.3f}", target, judgement)
    return table


def as_json(shape: str, dropout: float, measured: dict[str, Measurement], kernels: str) -> dict:
    ours = measured.get("minibert")
    by_round = {name: list(ratios(ours, other)) for name, other in measured.items()} if ours else {}
    return {
        "kernels": kernels,
        "shape": shape,
        "sizes": asdict(SHAPES[shape]),
        "dropout": dropout,
        "needed_flops": needed_flops(SHAPES[shape]),
        "contenders": [measurement_as_json(measurement) for measurement in measured.values()],
        "minibert_to_others_by_round": by_round,
        "targets": [asdict(verdict) | {"met": verdict.met} for verdict in verdicts(shape, measured, kernels)],
    }


def measurement_as_json(measurement: Measurement) -> dict:
    low, median, high = np.quantile(measurement.seconds, (0.1, 0.5, 0.9))
    return {
        "contender": measurement.contender,
        "seconds": {"median": median, "mean": measurement.seconds.mean(), "quantile_10": low, "quantile_90": high},
        "rounds": measurement.rounds,
        "others": measurement.others,
        "turns_retaken": measurement.retaken,
        "losses": None if np.isnan(measurement.losses[0]) else measurement.losses,
        "peak_memory": measurement.peak_memory,
        "own_memory": measurement.own_memory,
        "about": measurement.about,
    }


def machine() -> dict:
    """What the numbers depend on, beside the versions that every contender states."""
    processor = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        processor = lines[0].split(":", 1)[1].strip() if lines else processor
    return {
        "processor": processor,
        "cores": physical_cores(),
        "system": platform.platform(),
        "python": sys.version.split()[0],
    }


def machine_line(about: dict) -> str:
    return f"{about['processor']}, {about['cores']} cores, Python {about['python']}, {about['system']}"
