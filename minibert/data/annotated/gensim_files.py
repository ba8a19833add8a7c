"""The word data that lie in the wheel of the package ``gensim``, which the extra ``words`` installs."""

from importlib.util import find_spec
from pathlib import Path

from minibert.errors import Unavailable


def gensim_file(name: str) -> Path:
    """The path of one of its test data (what ``gensim.test.utils.datapath`` gives).

    Raises :class:`Unavailable` without the package, or without the file.
    """
    spec = find_spec("gensim")  # does not import it: that takes a second
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "test" / "test_data" / name
        if path.is_file():
            return path
    raise Unavailable(
        f"{name}: {'is not in the installed package' if spec else 'lies in the package'} gensim. "
        "Install the extra: pip install 'minibert[words]'; or give the path of a file of your own."
    )
