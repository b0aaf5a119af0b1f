"""fallback_<runtime>.json: what fallback recipes cost in speed, as timed on the building host."""

from pathlib import Path

import msgspec
from msgspec import Struct

from artificer.manifest import Host, canonical_json
from stages.core import files


class Cost(Struct, frozen=True, kw_only=True):
    """Pairs per second with the kept recipe and with the plain one, and the median over the rounds of their ratio."""

    pairs_per_second: float
    plain_pairs_per_second: float
    speed_ratio: float


class Costs(Struct, frozen=True, kw_only=True):
    """Costs by variant id, as timed on one host."""

    host: str
    threads: int
    variants: dict[str, Cost]


def write_costs(path: Path, host: Host, costs: dict[str, Cost]) -> None:
    """Replace the file."""
    files.write_file(path, canonical_json(Costs(host=host.name, threads=host.cores, variants=costs)))


def load_costs(path: Path) -> Costs:
    """What a quantising stage wrote."""
    return msgspec.json.decode(path.read_bytes(), type=Costs)
