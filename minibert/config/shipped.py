"""The options that conf/ ships: which there are, and which values their files state.

A file whose name begins with an underscore is no option. Others of its folder share its values.
"""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

PACKAGE = Path(__file__).resolve().parents[1]
CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"

OVERLAYS = ("experiment", "recipe")
"""Groups whose options are laid over all others. They are not in the list of defaults, so Hydra requires a plus
before them."""

COMBINED = ("evaluation",)
"""Groups of which several options may be chosen at once: ``evaluation=[probing,minimal_pairs]``"""


SEARCHES = "search"
"""The folder of the searches. They are no options of a run: each says which settings its runs differ in."""


def shipped_options(group: str = "") -> dict[str, Path]:
    """The options of a group with their files: ``base`` and ``ladder/m`` of ``model``. By default, of all groups.

    >>> sorted(shipped_options("norm"))
    ['post', 'post_rms', 'pre', 'pre_embeddings', 'pre_rms']
    """
    folder = CONF / group
    files = sorted(path for path in folder.rglob("*.yaml") if not path.stem.startswith("_"))
    if not group:
        files = [path for path in files if path.relative_to(folder).parts[0] != SEARCHES]
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in files}


def stated_values(file: Path) -> DictConfig:
    """What the file of an option states, over what the files that it shares do.

    >>> stated_values(shipped_options("model")["ladder/xs"]).vocab_size
    4096
    """
    values = OmegaConf.create(file.read_text())
    assert isinstance(values, DictConfig)
    entries = [entry for entry in values.pop("defaults", []) if isinstance(entry, str)]
    names = [entry.partition("@")[0].rpartition("/")[2] for entry in entries]
    parts = [name for name in names if name.startswith("_") and name != "_self_"]
    shared = [stated_values(file.with_name(f"{name}.yaml")) for name in parts]
    merged = OmegaConf.merge(*shared, values)
    assert isinstance(merged, DictConfig)
    return merged
