"""The servers that were reached from a folder: whoever was there once may be away, and is no wrong address."""

import json
from pathlib import Path

from minibert.files import replacing
from minibert.tracking.addresses import without_passwords

KNOWN = "servers.json"
"""In the folder of working files: address -> experiment -> its id there"""


def known_experiment(work: Path, uri: str, experiment: str) -> str | None:
    """The id of the experiment at the server; None if that was never reached from here."""
    return _read(work).get(without_passwords(uri), {}).get(experiment)


def remember_experiment(work: Path, uri: str, experiment: str, experiment_id: str) -> None:
    known = _read(work)
    of_server = known.setdefault(without_passwords(uri), {})
    if of_server.get(experiment) != experiment_id:
        of_server[experiment] = experiment_id
        with replacing(work / KNOWN) as temporary:
            temporary.write_text(json.dumps(known, indent=2))


def _read(work: Path) -> dict[str, dict[str, str]]:
    try:
        return json.loads((work / KNOWN).read_text())
    except (OSError, ValueError, RecursionError):
        return {}
