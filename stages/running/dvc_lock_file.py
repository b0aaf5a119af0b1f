"""`.dvc/tmp/rwlock`, which says what running DVC processes read and write: removed where a killed one left half of it.

DVC writes the file in place, so a process killed while it writes leaves JSON that is cut off, and every later DVC
command fails with "Unable to read RWLock-file". DVC holds `rwlock.lock` while it writes; whoever gets that lock and
finds a damaged file knows that its writer is gone.
"""

import fcntl
import json
import sys
from pathlib import Path

FILE = Path(".dvc/tmp/rwlock")
GUARD = Path(".dvc/tmp/rwlock.lock")


def remove_damaged() -> None:
    """Remove the file if it is damaged and no DVC process is writing it; say so on stderr."""
    if not _is_damaged():
        return
    with GUARD.open("a+b") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # it is being written
            return
        if _is_damaged():
            FILE.unlink()
            print(f"removed {FILE}, which a killed DVC process had left damaged", file=sys.stderr)


def _is_damaged() -> bool:
    try:
        json.loads(FILE.read_bytes())
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    return False
