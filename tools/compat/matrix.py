"""The rows of environments.toml, and the interpreter that each needs."""

import re
import shutil
import subprocess
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).with_name("environments.toml")
_PYENV = Path("~/.pyenv/versions")


@dataclass(frozen=True)
class Row:
    """An environment: its interpreter's version, and what is installed beside the wheel."""

    name: str
    python: str
    pins: tuple[str, ...]
    large: bool = False


def read_rows(path: Path = TABLE) -> dict[str, Row]:
    """The rows by name, in the file's order. Raises ValueError for a row that is not one."""
    rows: dict[str, Row] = {}
    for name, table in tomllib.loads(path.read_text(encoding="utf-8")).items():
        unknown = table.keys() - {"python", "pins", "large"}
        if unknown or not re.fullmatch(r"3\.\d+", table.get("python", "")):
            raise ValueError(f"{path.name}: [{name}]: expected python and pins, found {table}.")
        rows[name] = Row(name, table["python"], tuple(table.get("pins", ())), bool(table.get("large", False)))
    return rows


def interpreter(version: str) -> Path | None:
    """A Python of this minor version: one that starts, on the path or of pyenv; None where there is none."""
    named = shutil.which(f"python{version}")
    candidates = [Path(named)] if named else []
    with suppress(RuntimeError):  # no home
        candidates += sorted(_PYENV.expanduser().glob(f"{version}.*/bin/python{version}"), reverse=True)
    return next((path for path in candidates if _starts(path, version)), None)


def _starts(path: Path, version: str) -> bool:
    """A shim of pyenv is on the path for every version that it knows, whether or not that one is chosen."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([path, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() == version
