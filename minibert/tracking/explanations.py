"""What an exception of MLflow means for its user."""

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

from minibert.errors import MinibertError, Refused, sentence
from minibert.tracking.retries import is_refusal


@contextmanager
def store_errors(uri: str, action: str) -> Iterator[None]:
    """Within this context, every exception of MLflow becomes one :class:`MinibertError`."""
    try:
        yield
    except MinibertError:
        raise
    except Exception as error:
        kind = Refused if is_refusal(error) else MinibertError
        raise kind(f"tracking store {uri}: could not {action}. {explain(uri, error)}") from error


def explain(uri: str, error: Exception) -> str:
    """What an exception of MLflow means for its user, in sentences."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    # SQLAlchemy puts hints before, and the statement after, the line that says what happened.
    text = next((line for line in lines if line.startswith("(sqlite3.")), lines[0])
    if "out-of-date database schema" in text or "Can't locate revision" in text:
        return _explain_version(uri, text)
    if urlparse(uri).scheme in ("http", "https") and "Max retries exceeded" in text:
        return "No server answers there. Start it, or correct tracking.uri (null is a local SQLite store)."
    if "readonly database" in text:
        return "It cannot be written to. Make its folder writable, or copy the store: tracking.folder=FOLDER."
    return sentence(text)


def _explain_version(uri: str, text: str) -> str:
    """What to do about a database whose tables are not those of the MLflow that is installed."""
    import mlflow
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    found = re.search(r"(?:found version|identified by) '?(\w+)", text)
    try:
        known = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
        if found and found[1] != "None":
            known.get_revision(found[1])
    except CommandError:
        return (
            f"It was written by a newer version of MLflow than the one installed ({mlflow.__version__}). "
            "Update MLflow: pip install --upgrade mlflow."
        )
    return (
        f"It was written by an older version of MLflow than the one installed ({mlflow.__version__}): "
        f"back it up, then run `mlflow db upgrade {shlex.quote(uri)}`."
    )
