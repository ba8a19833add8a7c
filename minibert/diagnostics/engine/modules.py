"""Modules with diagnostics and drawings of a user's own."""

import importlib
import sys
import traceback
from pathlib import Path

from minibert.errors import MinibertError


def import_module(module: str) -> None:
    """Import a module of the user's. Raises :class:`MinibertError` if it cannot be imported."""
    allowed = "Allowed: a module on the Python path, such as a file in the working directory, without its .py."
    if not all(part.isidentifier() for part in module.split(".")):
        raise MinibertError(f"diagnostics.modules={module}: this is no name of a module. {allowed}")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # ``python -m`` does this; the command ``minibert`` does not
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise MinibertError(f"diagnostics.modules={module}: cannot be imported ({error}). {allowed}") from error
    except MinibertError as error:
        raise MinibertError(f"diagnostics.modules={module}: {error}") from error
    except (Exception, SystemExit) as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        # The message of a SyntaxError has a place; the last one of its traceback is Python's own.
        where = "" if isinstance(error, SyntaxError) else f" ({place.filename}, line {place.lineno})"
        raise MinibertError(
            f"diagnostics.modules={module}: its import ended in {type(error).__name__}: {error}{where}. "
            "Mend the module, or leave it out."
        ) from error
