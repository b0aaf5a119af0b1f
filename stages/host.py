"""Stage `host`: which machine this is. Figures of speed, and those of int8, belong to it."""

from artificer import host
from stages.records.host_record import write_host


def run() -> None:
    """Write host.json, unless it says the same already."""
    found = host.detect()
    write_host(found)
    print(f"{found.name}: {found.cpu_model}, {found.isa_class}, {found.cores} cores")
