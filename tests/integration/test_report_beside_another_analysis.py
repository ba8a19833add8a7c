"""The report where the working folder has a package called ``analysis`` too."""

import subprocess
import sys

import pytest

LOAD = "from minibert.report import load_analysis; print(load_analysis('report').write_report.__module__)"


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A working folder whose own ``analysis`` ends everyone that imports it."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "analysis").mkdir()
    for name in ("__init__", "report", "figures"):
        (folder / "analysis" / f"{name}.py").write_text("raise SystemExit('another project was imported')\n")
    return folder


@pytest.mark.parametrize(
    ("words", "code", "printed"),
    [
        (["-c", LOAD], 0, "minibert.analysis.report"),
        (["-m", "minibert.report", "a_study", "--folder=."], 2, "there is no mlflow.db in it"),
    ],
)
def test_minibert_finds_its_own_analysis_wherever_it_is_called(elsewhere, words, code, printed):
    # Python puts the working folder first on the path for both -c and -m.
    result = subprocess.run([sys.executable, *words], cwd=elsewhere, capture_output=True, text=True, timeout=300)
    assert (result.returncode, printed in result.stdout + result.stderr) == (code, True), result.stderr
