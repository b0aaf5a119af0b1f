"""How long `artificer prove` takes here, and what `load` chooses before and after, for a package of another class.

    python benchmarks/prove.py dist/artificer/demo-reranker [FOLDER ...]

Each folder is copied, and its records renamed to a class that no machine has, as if it had been built there. Prints
Markdown. About two minutes for a model of 22.7 M parameters; stop other programs first.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from artificer.manifest import MANIFEST_FILE, Manifest, Variant
from artificer.proving.local_record import LocalRecord


def main() -> None:
    """Measure every folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="+", type=Path)
    for folder in parser.parse_args().folder:
        with tempfile.TemporaryDirectory() as scratch:
            measure(folder, Path(scratch))


def measure(folder: Path, scratch: Path) -> None:
    """One package: before, quick, full, after."""
    copy = scratch / "package"
    shutil.copytree(folder, copy)
    manifest = Manifest.from_json((copy / MANIFEST_FILE).read_bytes())
    elsewhere = msgspec.structs.replace(
        manifest, variants=tuple(map(of_another_class, manifest.variants)), benchmarks=()
    )
    (copy / MANIFEST_FILE).write_bytes(elsewhere.to_json())
    environment = {**os.environ, "ARTIFICER_CACHE": str(scratch / "cache")}
    before = explained(copy, environment)
    print(f"## {manifest.slug} on {before['host']}, {before['threads']} threads\n")
    print("| proof | seconds | CPU seconds | passed | pairs, lengths of int8 and half precisions |")
    print("|---|---:|---:|---:|---|")
    for options in (["--quick"], []):
        started, used = time.perf_counter(), os.times()
        out = scratch / "record.json"
        command = [sys.executable, "-m", "artificer.cli", "prove", str(copy), "--out", str(out), *options]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        now = os.times()
        cpu = now.children_user + now.children_system - used.children_user - used.children_system
        record = msgspec.json.decode(out.read_bytes(), type=LocalRecord)
        most = max(record.executions, key=lambda each: each.lengths)
        passed = f"{record.passed()} of {len(record.executions)}"
        took = time.perf_counter() - started
        print(
            f"| {'quick' if options else 'full'} | {took:.0f} | {cpu:.0f} | {passed} | {most.pairs}, {most.lengths} |"
        )
    after = explained(copy, environment)
    print(f"\nbefore: {before['variant']} in {before['execution_precision']} ({before['why']})")
    print(f"after: {after['variant']} in {after['execution_precision']} ({after['why']})\n")
    print("| execution | verdict | scores within | times plain float32 |\n|---|---|---:|---:|")
    for each in record.executions:
        score = each.measurement.metrics["score_max_abs"] if each.measurement else None
        speed = each.speed.rows[-1].speedup if each.speed and each.speed.rows else None
        cells = [
            each.label,
            each.verdict,
            "-" if score is None else f"{score:.2g}",
            "-" if speed is None else f"{speed:.2f}",
        ]
        print(f"| {' | '.join(cells)} |")
    print()


def of_another_class(variant: Variant) -> Variant:
    """The variant as if it was proven on another class alone."""
    records = tuple(msgspec.structs.replace(each, isa_class="another") for each in variant.parity)
    return msgspec.structs.replace(variant, parity=records)


def explained(folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    """What `artificer explain --json` prints."""
    command = [sys.executable, "-m", "artificer.cli", "explain", str(folder), "--json"]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
