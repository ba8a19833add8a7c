#!/usr/bin/env bash
# joblib 1.5.2, loky: when the system ends one worker (here it asks for it itself, as the kernel does when memory runs
# out), the call raises TerminatedWorkerError. The jobs that had finished have no result, and those to come are not run.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check joblib==1.5.2
cat > "$folder/look.py" <<'PY'
import os
import signal
import sys
from pathlib import Path

import joblib
from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError

folder = Path(sys.argv[1])


def job(number):
    if number == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / f"done_{number}").touch()
    return number


if __name__ == "__main__":
    returned = None
    try:
        returned = Parallel(n_jobs=2, batch_size=1, pre_dispatch=2)(delayed(job)(number) for number in range(40))
    except TerminatedWorkerError as error:
        first = str(error).splitlines()[0]
    done = len(list(folder.glob("done_*")))
    print(f"joblib {joblib.__version__}: {done} of 40 jobs finished, results returned: {returned}. {first}")
    sys.exit(0 if returned is None and 4 <= done < 39 else 1)
PY
"$folder/venv/bin/python" "$folder/look.py" "$folder"
