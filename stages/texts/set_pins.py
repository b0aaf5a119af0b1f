"""registry/locks/data-sets.json: what a data set was when it was pinned. A Hub data set's commit, a file's SHA-256."""

import json
from pathlib import Path
from typing import Any

from artificer.manifest import describe_file
from stages.core import files, paths
from stages.core.errors import DataError, RegistryError

Pin = dict[str, Any]


def load_pins() -> dict[str, Pin]:
    """Every pin by the name of its set. Raises RegistryError for a damaged file."""
    try:
        found: dict[str, Pin] = json.loads(paths.DATA_LOCK.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RegistryError(f"{paths.DATA_LOCK}: {error}. Restore it, or write {{}} and run `pin-data`.") from None
    return found


def write_pins(pins: dict[str, Pin]) -> None:
    """Replace the file."""
    files.write_file(paths.DATA_LOCK, pins_json(pins))


def pins_json(pins: dict[str, Pin]) -> bytes:
    """The canonical bytes."""
    return (json.dumps(pins, indent=2, sort_keys=True) + "\n").encode()


def file_pin(path: Path) -> Pin:
    """The pin of a file as it is now."""
    found = describe_file(path.parent, path.name)
    return {"path": path.as_posix(), "size": found.size, "sha256": found.sha256}


def check_file_pin(name: str, path: Path) -> None:
    """Raise DataError when a pinned file has other bytes, or the set another file, than was pinned."""
    pin = load_pins().get(name)
    if pin is None or "sha256" not in pin or not path.is_file():
        return  # a missing file is said by whoever reads it
    found = file_pin(path)
    if any(found[key] != pin.get(key) for key in found):
        raise DataError(
            f"{paths.PARAMS}: data.sets.{name}: {path} is not what was pinned: locked {_short(pin)}, found "
            f"{_short(found)}. If the change is wanted, run `python -m stages pin-data {name}`; otherwise restore "
            "the file."
        )


def _short(pin: Pin) -> str:
    return f"{pin.get('path')}, {pin.get('size')} bytes, sha256 {str(pin.get('sha256'))[:12]}…"
