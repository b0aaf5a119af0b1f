"""Stage `host`: what machine this is. Figures of speed, and of int8, belong to it."""

import msgspec

from artificer import host
from artificer.manifest import Host, canonical_json
from stages import files, paths


def run() -> None:
    """Write host.json, unless it says the same already."""
    found = host.detect()
    data = canonical_json(found)
    if not paths.HOST.is_file() or paths.HOST.read_bytes() != data:
        files.write_file(paths.HOST, data)
    print(f"{found.name}: {found.cpu_model}, {found.isa_class}, {found.cores} cores")


def load_host() -> Host:
    """What `run` wrote."""
    return msgspec.json.decode(paths.HOST.read_bytes(), type=Host)
