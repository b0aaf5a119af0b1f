"""One job at a time: commands in child processes, one after the other, with their output, until one fails."""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import psutil

from stages.core.errors import UsageError

STAGE = re.compile(r"^Running stage '([^']+)'")
MOST_LINES = 5_000  # of the output that is kept
SECONDS_TO_END = 10.0
State = Literal["running", "done", "failed", "cancelled"]


def shown(command: Sequence[str]) -> str:
    """A command as a person types it."""
    words = ["python" if word == sys.executable else word for word in command]
    if words[:3] == ["python", "-m", "dvc"]:
        words = words[2:]
    return shlex.join(words)


@dataclass
class Job:
    """What runs, or ran: its commands, stages as they began, and its output so far."""

    title: str
    commands: list[list[str]]
    target: str
    state: State = "running"
    current: int = 0
    stages: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    dropped: int = 0
    reason: str = ""
    peak_bytes: int = 0
    process: "subprocess.Popen[str] | None" = None

    def told(self, since: int) -> dict[str, Any]:
        """All that a page shows, with the lines from number `since` on."""
        first = max(0, since - self.dropped)
        return {
            "title": self.title,
            "commands": [shown(command) for command in self.commands],
            "current": self.current,
            "state": self.state,
            "stages": self.stages,
            "lines": self.lines[first:],
            "next": self.dropped + len(self.lines),
            "reason": self.reason,
            "peak_bytes": self.peak_bytes,
            "target": self.target,
        }

    def hear(self, line: str) -> None:
        """Keep a line of output, and what it says of stages."""
        if (found := STAGE.match(line)) is not None:
            self.stages.append(found[1])
        self.lines.append(line)
        if len(self.lines) > MOST_LINES:
            self.lines.pop(0)
            self.dropped += 1


class Jobs:
    """The job of this server, which any page finds again. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.job: Job | None = None

    def start(self, title: str, commands: list[list[str]], target: str = "") -> Job:
        """Begin. Raises UsageError while another job runs."""
        with self._lock:
            if self.job is not None and self.job.state == "running":
                raise UsageError(f"{self.job.title} is still running. Wait for it, or cancel it.")
            self.job = job = Job(title=title, commands=commands, target=target)
        threading.Thread(target=_run, args=(job,), daemon=True).start()
        return job

    def cancel(self) -> None:
        """End the running command and all that it started. Does nothing when there is none."""
        job = self.job
        if job is None or job.state != "running":
            return
        job.state, job.reason = "cancelled", "cancelled"
        if job.process is not None:
            _end(job.process)


def _run(job: Job) -> None:
    threading.Thread(target=_watch_memory, args=(job,), daemon=True).start()
    for index, command in enumerate(job.commands):
        if job.state != "running":
            return
        job.current = index
        job.hear(f"$ {shown(command)}")
        # A group of its own, so that cancelling reaches what DVC starts.
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "120"},
        ) as process:
            job.process = process
            assert process.stdout is not None
            for line in process.stdout:
                job.hear(line.rstrip("\n"))
        if process.returncode != 0 and job.state == "running":
            job.reason = _reason(job.lines, process.returncode)
            job.state = "failed"
            return
    if job.state == "running":
        job.current = len(job.commands)
        job.state = "done"


def _reason(lines: Sequence[str], code: int) -> str:
    """One line: the first that names an error since the command began, else the last that says anything."""
    start = max(i for i, line in enumerate(lines) if line.startswith("$ "))
    own = [line.strip() for line in lines[start + 1 :] if line.strip()]
    errors = [line.removeprefix("error: ") for line in own if line.startswith("error: ")]
    return next(iter([*errors, *reversed(own)]), f"exit code {code}")


def _watch_memory(job: Job) -> None:
    """The most resident memory of the running command with its children, looked at twice a second."""
    while job.state == "running":
        process = job.process
        if process is not None and process.poll() is None:
            try:
                parent = psutil.Process(process.pid)
                used = sum(_resident(each) for each in [parent, *parent.children(recursive=True)])
                job.peak_bytes = max(job.peak_bytes, used)
            except psutil.Error:  # it ended meanwhile
                pass
        threading.Event().wait(0.5)


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _end(process: "subprocess.Popen[str]") -> None:
    try:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(SECONDS_TO_END)
    except ProcessLookupError:
        return
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
