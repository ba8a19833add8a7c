"""The benchmark of sweeps: how it judges."""

import io

from rich.console import Console

from minibert.command_line.terminal import print_table
from tests.benchmarks.sweep_throughput import CORES, ONE_LANE, TWO_LANES, Measured, table


def printed(cores: float, one_lane: float, two_lanes: float, others: float = 0.0) -> str:
    pipe = io.StringIO()
    measured = {
        CORES: Measured([cores, cores], [0.0, others]),
        ONE_LANE: Measured([one_lane, one_lane], [0.0, 0.0]),
        TWO_LANES: Measured([two_lanes, two_lanes], [0.0, 0.0]),
    }
    print_table(Console(file=pipe, width=200), table(measured, 6))
    return pipe.getvalue()


def test_throughput_is_judged_against_both_on_a_quiet_machine_only():
    both = printed(10.0, 18.0, 12.0)
    assert "1.80" in both and "1.20" in both and "36.0" in both and both.count("met") == 2
    assert printed(10.0, 16.0, 12.0).count("missed") == 1
    assert printed(10.0, 16.0, 10.0).count("missed") == 2
    assert printed(10.0, 16.0, 12.0, others=0.2).count("void") == 2
