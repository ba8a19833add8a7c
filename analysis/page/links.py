"""Links from a report to MLflow's pages of its runs."""

import re
from collections.abc import Sequence
from html import escape

from minibert.tracking import Store
from minibert.tracking.addresses import without_passwords
from minibert.tracking.pages import comparison, open_command, page


class Links:
    """The addresses at the store's server or, for a local store, at the one that ``mlflow ui`` starts."""

    def __init__(self, store: Store, sweep_id: str, run_ids: Sequence[str]):
        self._store, self._sweep_id, self._run_ids = store, sweep_id, run_ids

    def run(self, run_id: str) -> str:
        return _anonymous(page(self._store, run_id))

    def shown(self) -> str:
        """The links to the sweep and to its runs side by side, and what has to run for them, as a paragraph."""
        # All runs: the address has them behind its #, so that it is the browser's alone, which takes a megabyte.
        compared = _anonymous(comparison(self._store, self._run_ids))
        command = open_command(self._store)
        after = f", once <code>{escape(without_passwords(command))}</code> runs" if command else ""
        return (
            f'<p class="soft">In MLflow{after}: <a href="{escape(self.run(self._sweep_id))}">the sweep</a>, '
            f'<a href="{escape(compared)}">these runs side by side</a>, and each run from the table at the end.'
            "</p>"
        )


def _anonymous(address: str) -> str:
    """The address without a name and a password: the browser asks for them."""
    return re.sub(r"(://)[^/@]*@", r"\1", address, count=1)
