"""Addresses of stores and artifacts: SQLite files as SQLAlchemy's addresses, folders as URIs, and back."""

import re
from pathlib import Path
from urllib.parse import quote, unquote, urlparse

from minibert.errors import MinibertError
from minibert.files import expanded

PLAIN = re.compile(r"/[\w/.-]+", re.ASCII)
"""Absolute paths that every version of SQLAlchemy takes as they are"""
PASSWORD = re.compile(r"(://[^/@:\s]*:)[^/@\s]+(?=@)")


def without_passwords(text: str) -> str:
    """A text in which no address holds a password: what of a command or a setting may be recorded.

    >>> without_passwords("tracking.uri=postgresql://me:secret@host/runs seed=0")
    'tracking.uri=postgresql://me:***@host/runs seed=0'
    """
    return PASSWORD.sub(r"\1***", text)


def sqlite_address(path: Path) -> str:
    """The address by which MLflow and SQLAlchemy open the SQLite file at ``path``, with any characters.

    SQLAlchemy percent-decodes a path since 2.1. Older versions do not, and take the part after a question mark for
    options, so they need such a path as an address of SQLite itself.
    """
    if PLAIN.fullmatch(str(path)):
        return f"sqlite:///{path}"
    from sqlalchemy.engine import URL, make_url

    # MLflow makes the parent folder of what follows "sqlite:///", without decoding it; it makes none where the
    # driver is named. So an address with encoded characters names the driver.
    plain = URL.create("sqlite", database=str(path)).render_as_string()
    encoded = URL.create("sqlite+pysqlite", database=str(path)).render_as_string()
    address = plain if plain == f"sqlite:///{path}" else encoded
    if make_url(address).database == str(path):
        return address
    return f"sqlite+pysqlite:///file:{quote(str(path))}?uri=true"


def sqlite_path(address: str) -> Path | None:
    """The file that a SQLite address names, absolute; None for an address of another kind.

    Raises :class:`MinibertError` if it names no file.
    """
    from sqlalchemy.engine import make_url

    if urlparse(address).scheme.partition("+")[0] != "sqlite":
        return None
    url = make_url(address)
    name = url.database or ""
    if url.query.get("uri") in ("true", "1") and name.startswith("file:"):
        name = unquote(urlparse(name).path)
    if name in ("", ":memory:"):
        raise MinibertError(f"tracking.uri={address}: names no file. Write sqlite:///folder/file.db.")
    return expanded(name, "tracking.uri", address).resolve()


def is_server(uri: str) -> bool:
    """Whether a tracking server answers at ``uri``, rather than a database or folder that is opened directly."""
    return urlparse(uri).scheme in ("http", "https", "databricks")


def local_path(uri: str) -> Path | None:
    """The folder that an artifact URI names on this machine, or None when the artifacts are elsewhere."""
    parsed = urlparse(uri)
    if parsed.scheme in ("", "file") and parsed.netloc in ("", "localhost"):
        return Path(unquote(parsed.path) if parsed.scheme else uri)
    return None


def given_folder(key: str, folder: str | Path) -> Path:
    """A folder that a user names, absolute; ``~`` is the home folder.

    Raises :class:`MinibertError` for an empty name, and for the home of an unknown user.
    """
    if not str(folder).strip():
        raise MinibertError(f"{key}=: an empty name. Allowed: a folder; a dot is the current one.")
    return expanded(folder, key).resolve()
