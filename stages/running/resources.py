"""What a stage took: seconds, and the peak resident memory of its process and all its children.

Written to reports/resources/<slug>/<stage>.json, which `dvc metrics show` prints; nothing reads it.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct

from artificer.manifest import canonical_json
from stages.core import files, paths
from stages.core.capacity import peak_memory_bytes
from stages.running import memory_sampler


class Usage(Struct, frozen=True):
    """Peak resident memory of the process tree in MB (1e6 bytes), and wall time in seconds."""

    peak_memory_mb: int
    seconds: float


@contextmanager
def recorded(slug: str, stage: str) -> Iterator[None]:
    """Measure the block, and write what it took if it ends well."""
    started = time.perf_counter()
    # -P: the script's own folder, stages/, must not be a place to import from.
    command = [sys.executable, "-P", memory_sampler.__file__, str(os.getpid())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sampler:
        try:
            yield
        finally:
            sampled = sampler.communicate()[0].strip()
    # A peak between two samples is not lost for the process itself, whose kernel keeps it.
    peak = max(int(sampled or 0), peak_memory_bytes())
    usage = Usage(peak_memory_mb=round(peak / 1e6), seconds=round(time.perf_counter() - started, 1))
    files.write_file(paths.resources(slug, stage), canonical_json(usage))
    print(f"{stage}: {usage.seconds:.1f} s, peak memory {usage.peak_memory_mb} MB", flush=True)
