"""A recipe of minibert, trained as ``python -m minibert.run WORDS`` does, without tracking."""

import json
import sys
import time

import numpy as np
from threadpoolctl import threadpool_info

from minibert.config import register
from minibert.data.prepared import prepare_data
from minibert.evaluation.intrinsic.held_out import bits_of_a_nat, evaluate
from minibert.running.assembly import build_diagnostics, build_trainer
from minibert.running.plan import plan
from tests.benchmarks.trainings import Trained, Training, told
from tests.benchmarks.trainings.held_out import held_out_batches


def train(training: Training) -> Trained:
    register()
    words = [*training.words, f"training.steps={training.steps}", f"training.lanes={training.lanes}"]
    words += [f"seed={training.seed}", f"data.cache={training.cache}", "diagnostics=off"]
    config = plan(words, multirun=False).jobs[0].config
    data = prepare_data(config.data, config.model.vocab_size, config.training.sequence_length)
    held_out = held_out_batches(config, data) if training.every else []
    seconds, steps, losses = [], [], []
    with build_trainer(config, data, build_diagnostics(config, (), None)) as trainer:
        for number in range(1, training.steps + 1):
            started = time.perf_counter()
            trainer.step()
            seconds.append(time.perf_counter() - started)
            if training.every and (number % training.every == 0 or number == training.steps):
                with trainer.evaluation_parameters():
                    losses.append(evaluate(trainer.lanes, held_out)["loss"])
                steps.append(number)
    about = {
        "numpy": np.__version__,
        "parameters": len(trainer.params.vector),
        "blas": threadpool_info(),
        "batch": config.training.batch_size,
        "tokens": config.training.sequence_length,
    }
    return Trained(seconds, steps, losses, bits_of_a_nat(data), about)


if __name__ == "__main__":
    print(json.dumps(vars(train(told(sys.stdin.read())))))
