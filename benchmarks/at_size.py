"""Build, prove, benchmark and publish checkpoints of any size, one by one, and tell what became of each variant.

    python -m benchmarks.at_size WORK CHECKPOINT [CHECKPOINT …] [--rows 40] [--attempts 1] [--calibration-rows 50]

WORK is a folder with room for a few times the published files of one model. For each checkpoint this repository is
cloned there, the checkpoint is added to its registry, and `dvc repro --no-commit` runs. Random weights follow no
labels, so parity is proven on the demo's texts without theirs, and quality is not measured. Few rows, attempts and
rounds keep a 568 M model within an hour on two cores; they do not change how much memory a variant takes.

WORK/<slug>.json holds every figure; the tables of all models there are printed at the end. --keep leaves the files.
"""

import argparse
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.clones import PYTHON, add, clone

STAGES = (
    "fetch",
    "data",
    "reference",
    "export",
    "optimize",
    "quantize_onnx",
    "quantize_openvino",
    "parity",
    "evaluate",
    "benchmark",
)


def build(checkpoint: Path, work: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Run the pipeline for one checkpoint in a clone; its figures."""
    project = work / "project"
    environment = clone(project)

    def run(*command: str) -> int:
        return subprocess.run(command, cwd=project, env=environment, check=False).returncode

    slug = checkpoint.name.lower().replace("_", "-").replace(".", "-")
    add(project, environment, checkpoint, slug)
    if given.optional:
        registry = yaml.safe_load((project / "registry/models.yaml").read_text())
        registry["models"][slug]["variants"] = {"optional": given.optional}
        (project / "registry/models.yaml").write_text(yaml.safe_dump(registry, sort_keys=False))
    narrow(project / "params.yaml", given)
    if run(*PYTHON, "host"):
        raise SystemExit("host failed")
    started, free = time.perf_counter(), shutil.disk_usage(work).free
    code = run("dvc", "repro", "--no-commit", f"publish@{slug}")
    found = figures(project, slug) | {"exit_code": code, "seconds": time.perf_counter() - started}
    found["bytes"]["disk"] = free - shutil.disk_usage(work).free
    (work / f"{slug}.json").write_text(json.dumps(found, indent=1, sort_keys=True))
    if not given.keep:
        shutil.rmtree(project)
    return found


def narrow(params: Path, given: argparse.Namespace) -> None:
    """Fewer rows, attempts, and rounds."""
    found = yaml.safe_load(params.read_text())
    found["data"]["sets"]["unlabelled"] = {
        "path": found["data"]["sets"]["demo-pairs"]["path"],
        "columns": {"query": "query", "passage": "passage"},
    }
    found["data"]["evaluation"] = "unlabelled"
    found["parity"]["rows"] = given.rows
    found["fallback"] = {"attempts": given.attempts, "work": 10**6, "rows": given.rows}
    found["calibration"]["rows"] = given.calibration_rows
    found["benchmark"]["max_minutes"] = given.benchmark_minutes
    preset = found["benchmark"]["presets"]["embedded"]
    preset["batch_sizes"] = [1, given.benchmark_pairs]
    preset["workloads"] = {name: preset["workloads"][name] for name in given.workloads}
    for workload in preset["workloads"].values():
        workload["pairs"] = given.benchmark_pairs
    params.write_text(yaml.safe_dump(found, allow_unicode=True, sort_keys=False))


def figures(project: Path, slug: str) -> dict[str, Any]:
    """What the pipeline itself recorded."""
    resources = {
        stage: json.loads(path.read_text())
        for stage in STAGES
        if (path := project / f"reports/resources/{slug}/{stage}.json").is_file()
    }
    manifest = next(project.glob("dist/*/*/manifest.json"), project / f"artifacts/packages/{slug}/manifest.json")
    variants = json.loads(manifest.read_text())["variants"] if manifest.is_file() else []
    benchmarks = [json.loads(path.read_text()) for path in project.glob(f"registry/benchmarks/{slug}/*.json")]
    used = {name: size(project / name) for name in ("artifacts", "dist")}
    return {"slug": slug, "resources": resources, "variants": variants, "benchmarks": benchmarks, "bytes": used}


def size(folder: Path) -> int:
    """Bytes of all files below."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def tables(results: list[dict[str, Any]]) -> None:
    """Markdown: time and memory by stage, disk, and what became of each variant."""
    print("\n| stage: seconds, peak GB | " + " | ".join(result["slug"] for result in results) + " |")
    print("|---|" + "---:|" * len(results))
    for stage in STAGES:
        cells = []
        for result in results:
            usage = result["resources"].get(stage)
            cells.append("-" if usage is None else f"{usage['seconds']:.0f} s, {usage['peak_memory_mb'] / 1e3:.1f}")
        print(f"| {stage} | " + " | ".join(cells) + " |")
    print("| all, wall | " + " | ".join(f"{result['seconds']:.0f} s" for result in results) + " |")
    print("| published, GB | " + " | ".join(f"{result['bytes']['dist'] / 1e9:.2f}" for result in results) + " |")
    print("| artifacts, GB | " + " | ".join(f"{result['bytes']['artifacts'] / 1e9:.2f}" for result in results) + " |")
    disk = [f"{result['bytes']['disk'] / 1e9:.2f}" if "disk" in result["bytes"] else "-" for result in results]
    print("| taken from the disk, GB | " + " | ".join(disk) + " |")
    print("\n| model | variant | status | MB | scores max | mean | Spearman | speed | peak GB | fallback, reasons |")
    print("|---|---|---|---:|---:|---:|---:|---:|---:|---|")
    for result in results:
        for variant in result["variants"]:
            print(variant_line(result, variant))


def variant_line(result: dict[str, Any], variant: dict[str, Any]) -> str:
    """One row of the second table."""
    proof = next(iter(variant.get("parity") or []), None)
    f = proof["metrics"] if proof else {}
    subjects = [s for b in result["benchmarks"] for s in b["subjects"] if s["id"] == variant["id"]]
    speed = peak = "-"
    if subjects:
        ratios = [row["speedup"] for row in subjects[0]["rows"]]
        product = 1.0
        for ratio in ratios:
            product *= ratio
        speed, peak = f"{product ** (1 / len(ratios)):.2f}x", f"{subjects[0]['peak_memory_bytes'] / 1e9:.1f}"
    fallback = variant.get("fallback") or {}
    tried = ", ".join(f"{a['recipe']} {a['metrics'].get('score_mean_abs')}" for a in fallback.get("attempts", []))
    said = [variant["reason"]] if variant.get("reason") else proof["reasons"] if proof else []
    reasons = "; ".join([*said, tried]).strip("; ")
    megabytes = sum(entry["size"] for entry in variant.get("files") or []) / 1e6
    cells = (f"{f[name]:.1e}" if name in f else "-" for name in ("score_max_abs", "score_mean_abs"))
    rank = f"{f['spearman']:.5f}" if f.get("spearman") is not None else "-"
    return (
        f"| {result['slug']} | {variant['id']} | {variant['status']} | {megabytes:.0f} | {' | '.join(cells)} | {rank}"
        f" | {speed} | {peak} | {reasons} |"
    )


def main() -> None:
    """Build each, then print the tables of all that WORK holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("checkpoints", type=Path, nargs="*")
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--attempts", type=int, default=1)
    parser.add_argument("--calibration-rows", type=int, default=50)
    parser.add_argument("--benchmark-minutes", type=int, default=6)
    parser.add_argument("--benchmark-pairs", type=int, default=8)
    parser.add_argument("--workloads", nargs="+", choices=["short", "long"], default=["short", "long"])
    parser.add_argument("--optional", nargs="*", help="optional variants to build as well")
    parser.add_argument("--keep", action="store_true")
    given = parser.parse_args()
    given.work = given.work.resolve()  # the stages run elsewhere
    given.work.mkdir(parents=True, exist_ok=True)
    for checkpoint in given.checkpoints:
        build(checkpoint.resolve(), given.work, given)
    tables([json.loads(path.read_text()) for path in sorted(given.work.glob("*.json"))])


if __name__ == "__main__":
    main()
