"""host.json: which machine the figures belong to."""

import msgspec

from artificer import host
from artificer.manifest import Host, canonical_json
from stages.core import files, paths
from stages.core.errors import UsageError


def write_host(found: Host) -> None:
    """Write host.json, unless it says the same already."""
    data = canonical_json(found)
    if not paths.HOST.is_file() or paths.HOST.read_bytes() != data:
        files.write_file(paths.HOST, data)


def load_host() -> Host:
    """What stage `host` wrote."""
    try:
        return msgspec.json.decode(paths.HOST.read_bytes(), type=Host)
    except FileNotFoundError:
        raise UsageError(f"{paths.HOST} is missing: run `python -m stages host`.") from None


def current_host() -> Host:
    """What stage `host` wrote, which must still be this machine. Raises UsageError when it is not."""
    written, found = load_host(), host.detect()
    if written != found:
        raise UsageError(
            f"{paths.HOST} says {written.name} {written.runtimes}; this machine is {found.name} {found.runtimes}. "
            "Run `python -m stages host`, then `dvc repro`."
        )
    return written
