"""Parts of the names of metrics that come from data: from file names, sections and relations."""

import re


def metric_part(name: str) -> str:
    """A name with what the name of a metric may not hold replaced by ``_``.

    >>> metric_part("born in (city)/née")
    'born_in__city__n_e'
    """
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)
