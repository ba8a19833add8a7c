"""What minicons gives for sentences: run as a program, by an interpreter that has it, and asked from another one.

minicons 0.3.39 needs ``transformers`` below 5, so it has an environment of its own:

    python3 -m venv minicons && minicons/bin/pip install minicons==0.3.39 transformers==4.57.6 torch

As a program it reads what it is asked as JSON from its input, and writes JSON. It imports nothing of minibert.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

METRICS = {"original": "original", "within_word": "within_word_l2r"}
"""Our word for a way of masking -> that of minicons"""


def ask_minicons(
    python: str, folder: Path, sentences: Sequence[str], batch_sizes: dict[str, Sequence[int]], threads: int = 1
) -> dict:
    """The scores of the model in ``folder``, in nats, and the seconds that they took.

    ``batch_sizes``: way of masking -> sentences at a time. Returns ``{"versions": {package: version}, "found":
    {kind: {batch size, as text: {"scores": [...], "seconds": s}}}}``.
    """
    asked = {
        "folder": str(folder), "sentences": list(sentences), "threads": threads,
        "batch_sizes": {kind: list(sizes) for kind, sizes in batch_sizes.items()},
    }  # fmt: skip
    answer = subprocess.run(
        [python, str(Path(__file__).resolve())], input=json.dumps(asked), capture_output=True, text=True
    )
    if answer.returncode:
        raise SystemExit(f"{python} cannot run minicons:\n{answer.stderr.strip()}\n{__doc__}")
    return json.loads(answer.stdout.splitlines()[-1])


def main() -> None:
    asked = json.load(sys.stdin)
    import torch
    from minicons import scorer

    torch.set_num_threads(asked["threads"])
    model, sentences = scorer.MaskedLMScorer(asked["folder"], "cpu"), asked["sentences"]

    def score(kind: str, size: int, sentences: list[str]) -> list[float]:
        parts = (sentences[start : start + size] for start in range(0, len(sentences), size))
        return [
            total
            for part in parts
            for total in model.sequence_score(part, reduction=_total, PLL_metric=METRICS[kind])
        ]

    found = {}
    for kind, sizes in asked["batch_sizes"].items():
        score(kind, 8, sentences[:8])  # the first call warms up
        found[kind] = {}
        for size in sizes:
            started = time.perf_counter()
            scores = score(kind, size, sentences)
            found[kind][size] = {"scores": scores, "seconds": time.perf_counter() - started}
    versions = {package: version(package) for package in ("minicons", "transformers", "torch")}
    print(json.dumps({"versions": versions, "found": found}))


def _total(of_tokens) -> float:
    return of_tokens.sum(0).item()


if __name__ == "__main__":
    main()
