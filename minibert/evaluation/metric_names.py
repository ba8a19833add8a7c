"""Parts of the names of metrics that come from data: from file names, sections and relations."""

import re

from minibert.files import short_name


def metric_part(name: str) -> str:
    """A name with what the name of a metric may not hold replaced by ``_``, and shortened where it is long.

    >>> metric_part("born in (city)/née")
    'born_in__city__n_e'
    """
    return short_name(re.sub(r"[^A-Za-z0-9_.-]", "_", name))
