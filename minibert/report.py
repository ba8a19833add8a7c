"""The door ``minibert report``, or ``python -m minibert.report``: the report of a recorded sweep.

``analysis`` writes the report. Many projects have a package of that name, and Python looks into the working
folder first. So this module loads minibert's own by its path: in a checkout it is beside this package, in a wheel
within it.
"""

if __name__ == "__main__":
    from minibert.command_line.doors import enter

    enter("minibert.report")

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

from minibert.collection import importing
from minibert.config import PACKAGE

NAME = "minibert.analysis"


def load_analysis(module: str) -> ModuleType:
    """The module ``analysis.<module>`` that belongs to this package, under a name that no other package has."""
    if NAME not in sys.modules:
        within, beside = PACKAGE / "analysis", PACKAGE.parent / "analysis"
        folder = within if within.is_dir() else beside
        spec = spec_from_file_location(NAME, folder / "__init__.py", submodule_search_locations=[str(folder)])
        if spec is None or spec.loader is None:
            raise ImportError(f"{folder}: holds no package")
        sys.modules[NAME] = package = module_from_spec(spec)
        spec.loader.exec_module(package)
    with importing():
        return import_module(f"{NAME}.{module}")


def main(arguments: list[str] | None = None) -> int:
    """Write the report that the command line asks for. Returns the exit code."""
    return load_analysis("report").main(arguments)
