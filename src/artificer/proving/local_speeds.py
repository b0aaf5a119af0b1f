"""Speeds of one run that can be ranked: other load on the machine changed while the executions took their turns."""

from collections.abc import Sequence

import msgspec

from artificer.manifest import BenchmarkRow
from artificer.proving.local_record import ProvenExecution


def with_comparable_speeds(found: Sequence[ProvenExecution], baseline: str) -> list[ProvenExecution]:
    """Each execution's ratio to the plain float32 execution, which it was timed in turns with, times the speed of that
    one. Without figures of the plain execution, speeds stay as they were measured."""
    plain = next((each for each in found if each.label == baseline), None)
    if plain is None or plain.speed is None:
        return list(found)
    base = {row.batch_size: row for row in plain.speed.rows}
    return [_scaled(each, base) for each in found]


def _scaled(each: ProvenExecution, base: dict[int, BenchmarkRow]) -> ProvenExecution:
    if each.speed is None:
        return each
    rows = tuple(_row(row, base[row.batch_size]) for row in each.speed.rows if row.batch_size in base)
    return msgspec.structs.replace(each, speed=msgspec.structs.replace(each.speed, rows=rows))


def _row(row: BenchmarkRow, base: BenchmarkRow) -> BenchmarkRow:
    """`base` in its own rows is compared with itself: its ratio is 1."""
    ratio = 1.0 if row is base else row.speedup
    p50 = base.p50_ms / ratio
    return msgspec.structs.replace(
        row,
        speedup=ratio,
        inputs_per_second=base.inputs_per_second * ratio,
        p50_ms=p50,
        p95_ms=p50 * row.p95_ms / row.p50_ms,
        p99_ms=p50 * row.p99_ms / row.p50_ms,
    )
