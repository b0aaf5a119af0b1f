"""Files in git with what one host measured: registry/benchmarks/ and registry/parity/."""

from pathlib import Path
from typing import TypeVar

import msgspec

from stages.core.errors import RegistryError

T = TypeVar("T")


def load_measured(path: Path, kind: type[T]) -> T:
    """What a host measured. Raises RegistryError when the file is malformed, or of an older release."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RegistryError(
            f"{path}: {error}. Another release may have written it: measure on that host again, or remove the file."
        ) from None
