"""Stage `report`: the leaderboard of all models, in the terminal, as Markdown and CSV, as a plot, and as a site."""

import csv
import io

from rich.console import Console
from rich.table import Table

from artificer.manifest import MANIFEST_FILE, Benchmark, Manifest
from stages.core import files, paths
from stages.core.params import load_params
from stages.packaging import plot
from stages.packaging.summary import Line, cells, lines, markdown_table
from stages.records.benchmarks import beside_torch
from stages.records.host_record import load_host
from stages.registry import model_list
from stages.site.generate import generate

MOST_TABLES = 20  # of that many models the terminal shows every variant, of more a line each
STYLES = {"passed": "green", "failed": "red", "unsupported": "yellow", "reference": "dim"}


def run() -> None:
    """Write reports/leaderboard.md and .csv, reports/metrics/, reports/speed_quality.png and .svg, reports/site/."""
    host = load_host().name
    packed = [slug for slug in model_list.slugs() if (paths.package(slug) / MANIFEST_FILE).is_file()]
    manifests = [Manifest.from_json((paths.package(slug) / MANIFEST_FILE).read_bytes()) for slug in packed]
    show = _print if len(manifests) <= MOST_TABLES else _print_line
    text, rows = ["# Leaderboard", ""], [["model", "variant", "host", "status", "speedup", "quality_percent"]]
    for manifest in manifests:
        benchmarks: list[Benchmark | None] = [*beside_torch(manifest.benchmarks)] or [None]
        for benchmark in benchmarks:
            found = lines(manifest, benchmark)
            where = benchmark.host.name if benchmark else "no host"
            text += [f"## {manifest.slug}", "", _heading(manifest, benchmark), "", markdown_table(found), ""]
            text += [f"- `{line.id}`: {line.note}" for line in found if line.note] + [""]
            rows += [
                [
                    manifest.slug,
                    line.id,
                    where,
                    line.status,
                    f"{line.speedup:.3f}",
                    "" if line.quality_ratio is None else f"{100 * line.quality_ratio:.2f}",
                ]
                for line in found
                if line.speedup is not None
            ]
            if where in (host, "no host"):
                show(manifest, _heading(manifest, benchmark), found)
    for slug in packed:
        files.write_file(paths.metrics(slug), (paths.package(slug) / paths.PACKED_METRICS).read_bytes())
    files.write_file(paths.LEADERBOARD, ("\n".join(text).rstrip() + "\n").encode())
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows(rows)
    files.write_file(paths.LEADERBOARD_CSV, table.getvalue().encode())
    plot.speed_against_quality(manifests, host, *(paths.PLOT_STEM.with_suffix(suffix) for suffix in (".png", ".svg")))
    with files.staged_folder(paths.SITE) as folder:
        generate(manifests, folder, load_params().publish)


def _heading(manifest: Manifest, benchmark: Benchmark | None) -> str:
    if benchmark is None:
        return "Not benchmarked."
    return (
        f"{benchmark.host.name}, {benchmark.threads} threads, preset {benchmark.preset}; {_quality(manifest)}; "
        f"published as {manifest.name}"
    )


def _quality(manifest: Manifest) -> str:
    if not any(variant.quality for variant in manifest.variants):
        return "quality not measured"
    return f"quality on {manifest.evaluation.name} ({manifest.evaluation.rows} pairs)"


def _print(manifest: Manifest, heading: str, found: list[Line]) -> None:
    table = Table(title=manifest.slug, caption=heading)
    for name in ("variant", "status"):
        table.add_column(name, no_wrap=True)
    for name in ("speed", "quality", "max score diff", "Spearman", "size", "load", "peak memory"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in found:
        style = STYLES[line.status]
        table.add_row(line.id, f"[{style}]{line.status}[/]", *cells(line))
    Console(width=120).print(table)


def _print_line(manifest: Manifest, heading: str, found: list[Line]) -> None:
    passed = sum(line.status == "passed" for line in found)
    print(f"{manifest.slug}: {passed} of {len(manifest.variants)} variants passed; {heading}")
