"""One process of yarak, which does not outlive the worker that started it."""

import os
import subprocess
import sys
import time
from pathlib import Path

try:
    import fcntl
except ImportError:  # Not on Windows, where a folder that is in use is refused by yarak at once.
    fcntl = None

# A worker whose node is lost is killed and cannot end its children. Linux does it, where the child has asked for it; the process
# that asks becomes yarak. A killed run has lost what it did since its last checkpoint, and nothing else.
_DIES_WITH_ITS_WORKER = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
if os.getppid() != int(sys.argv[1]):
    sys.exit("the worker has ended")
os.execvp(sys.argv[2], sys.argv[2:])
"""

# Seconds that another process of the same run gets to end.
_PATIENCE = 60.0


def run(command: list[str]) -> subprocess.CompletedProcess:
    """Runs a command to its end, and gives its exit status and what it printed."""
    if sys.platform == "linux":
        command = [sys.executable, "-I", "-c", _DIES_WITH_ITS_WORKER, str(os.getpid()), *command]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")


def last_words(ended: subprocess.CompletedProcess) -> str:
    """The last lines of what a process said."""
    return "\n".join(ended.stderr.strip().splitlines()[-20:])


def wait_until_free(folder: Path) -> None:
    """Waits until no process holds a run's folder, for a minute at most.

    A lost node's processes may live a moment longer than Ray takes to start the trial elsewhere. Whoever holds the folder
    longer is named by yarak, which refuses it.
    """
    lock = folder / ".lock"
    if fcntl is None or not lock.exists():
        return
    end = time.monotonic() + _PATIENCE
    with open(lock, "r+") as file:
        while time.monotonic() < end:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(0.2)
            except OSError:  # A file system without locks; yarak has other means there.
                return
