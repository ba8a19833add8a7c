"""A page that a command opens on this machine, until Ctrl-C."""

import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/")


def opened_and_ended(module: str, *words: str) -> tuple[str, int, str]:
    """The page that the command opens at a free port; its exit code and errors after Ctrl-C."""
    with subprocess.Popen(
        [sys.executable, "-m", module, *words, "port=0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        try:
            assert process.stdout is not None
            address = ADDRESS.search(process.stdout.readline())
            assert address is not None, process.communicate(timeout=60)
            with urllib.request.urlopen(address[0], timeout=60) as response:
                page = response.read().decode()
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=60)
        finally:
            process.kill()
    return page, process.returncode, error
