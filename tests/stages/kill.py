"""kill -9 of a real process at a chosen moment: it stops itself there and waits for the blow."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.stages.project import REPOSITORY, environment

# An audit hook sees each file that is opened for writing and each rename before it happens.
DRIVER = """
import fnmatch, os, pathlib, sys, time
event, needle, flag = sys.argv[1:4]
left = int(sys.argv[4])

def stop(name, arguments):
    global left
    if name != event or left <= 0:
        return
    path = str(arguments[0])
    if name == "open" and not (isinstance(arguments[1], str) and arguments[1][:1] in "wxa"):
        return
    if fnmatch.fnmatch(path, "*" + needle + "*"):
        left -= 1
        if left == 0:
            os.close(os.open(flag, os.O_CREAT))
            while True:
                time.sleep(60)

sys.addaudithook(stop)
from stages.cli import main
sys.exit(main(sys.argv[5:]))
"""


def kill_at(root: Path, event: str, needle: str, *arguments: str, nth: int = 1, code: Path = REPOSITORY) -> None:
    """Run `python -m stages …` in `root` until the nth audit `event` whose path holds `needle`, and kill it there.

    `event` is "open" (for writing) or "os.rename"; `needle` may hold wildcards.
    """
    flag = root / "stopped"
    flag.unlink(missing_ok=True)
    env = {**environment(root), "PYTHONPATH": f"{code}:{code / 'src'}", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", DRIVER, event, needle, str(flag), str(nth), *arguments]
    process = subprocess.Popen(
        command, cwd=root, env=env, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        while not flag.exists():
            if process.poll() is not None:
                assert process.stdout is not None
                raise AssertionError(f"{arguments} ended before {event} of {needle}:\n{process.stdout.read()}")
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    flag.unlink()
