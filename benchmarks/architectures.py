"""Every text classifier architecture of transformers, from a tiny checkpoint to a published package.

    python -m benchmarks.architectures WORK [--only bert,roberta] [--again] [--seconds 300]
    python -m benchmarks.architectures WORK --page

WORK keeps a result and a log for each model type, and the project of each that was not published. A run continues where
the last one ended; `--again` repeats the types that it names, or all. Each type has a time limit, in a process that
serves one type after the other, since imports take longer than a tiny model. `--page` writes docs/architectures.md and
benchmarks/results/architectures.json from all results in WORK.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.architecture_page import write_page
from benchmarks.architecture_run import serve, write_result
from benchmarks.tiny_checkpoints import model_types

POLL_SECONDS = 0.5


class Worker:
    """A process that runs model types, started again when it was killed."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._process: subprocess.Popen[str] | None = None

    def run(self, model_type: str, seconds: float) -> str | None:
        """None where the type has a result, else why not."""
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, "-m", "benchmarks.architectures", str(self._work), "--serve"]
            log = (self._work / "worker.log").open("a")
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True)
        process = self._process
        assert process.stdin is not None
        process.stdin.write(f"{model_type}\n")
        process.stdin.flush()
        result, started = self._work / "results" / f"{model_type}.json", time.monotonic()
        while not result.exists():
            if process.poll() is not None:
                return f"its process ended with {process.returncode}"
            if time.monotonic() - started > seconds:
                self.close()
                return f"it took longer than {seconds:.0f} s"
            time.sleep(POLL_SECONDS)
        return None

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def main() -> None:
    """Run what has no result yet, then write the page if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--only", type=lambda text: text.split(","), help="model types, with commas between them")
    parser.add_argument("--again", action="store_true", help="also those that have a result")
    parser.add_argument("--seconds", type=float, default=300, help="the time limit of one model type")
    parser.add_argument("--page", action="store_true", help="write docs/architectures.md from the results")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    work = given.work.resolve()
    for name in ("results", "logs", "projects"):
        (work / name).mkdir(parents=True, exist_ok=True)
    if given.serve:
        serve(work)
        return
    if given.page:
        write_page(work)
        return
    wanted = given.only or list(model_types())
    if unknown := sorted(set(wanted) - set(model_types())):
        raise SystemExit(f"unknown model types: {', '.join(unknown)}; known: {', '.join(model_types())}")
    worker = Worker(work)
    try:
        for model_type in wanted:
            result = work / "results" / f"{model_type}.json"
            if given.again:
                result.unlink(missing_ok=True)
            if result.exists():
                continue
            if reason := worker.run(model_type, given.seconds):
                write_result(work, model_type, ended(model_type, reason))
            passed = result.read_text(encoding="utf-8").count('"status": "passed"')
            print(f"{model_type:24} {passed:2} variants passed", flush=True)
    finally:
        worker.close()


def ended(model_type: str, reason: str) -> dict[str, object]:
    """The result of a type whose process did not live to write one."""
    return {
        "type": model_type,
        "class": model_types()[model_type],
        "kind": "",
        "variants": {},
        "outcome": "crashed",
        "reason": reason,
    }


if __name__ == "__main__":
    main()
