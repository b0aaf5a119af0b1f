"""Reading what a system shows of itself. What cannot be read is an empty text."""

import re
from pathlib import Path


def slug(text: str) -> str:
    """Lower case, path-safe: runs of anything but letters and digits become a hyphen."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def text_of(path: Path) -> str:
    """The text of a file."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def output(command: list[str]) -> str:
    """What a command prints to standard output within five seconds."""
    import subprocess

    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
