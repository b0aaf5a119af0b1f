"""`python -m stages.fleet.order_process PLAN ORDER ARCHIVE BASE RESULT`: one order, in a process with this code."""

import sys
from pathlib import Path

import msgspec
from msgspec import structs

from stages.fleet.runner import Plan, run_order, write_result
from stages.fleet.workspace import Order


def main(plan: str, order: str, archive: str, base: str, result: str) -> None:
    """Build, and write the result. The lines that the build printed are in it."""
    wanted = msgspec.msgpack.decode(Path(plan).read_bytes(), type=Plan)
    wanted = structs.replace(wanted, archive=Path(archive).read_bytes())
    model = msgspec.msgpack.decode(Path(order).read_bytes(), type=Order)
    write_result(run_order(wanted, model, Path(base)), Path(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
