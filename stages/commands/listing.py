"""`list`: a table of the registry and what is built and published of it."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

from rich.console import Console
from rich.table import Table

from artificer import host
from artificer.manifest import MANIFEST_FILE, Manifest, describe_file
from stages.core import paths
from stages.core.params import load_params
from stages.packaging import summary
from stages.records.receipts import load_receipt
from stages.registry import model_list
from stages.registry.pin_state import pin_state


def list_models() -> None:
    """A table of the registry and what is built and published of it."""
    table = Table(title=str(paths.REGISTRY))
    for name in ("slug", "source", "pinned", "task", "passed", "fastest", "published"):
        table.add_column(name, overflow="fold", no_wrap=name == "slug")
    problems = []
    here = host.detect().name
    folder = cache(lambda: Path(load_params().publish.folder))  # read once, and only where something is packed
    for slug, entry in model_list.load_entries().items():
        passed, fastest = _built(slug, here)
        published, problem = _published(slug, folder)
        problems += [problem] if problem else []
        table.add_row(
            slug,
            entry.source.location,
            pin_state(slug, entry),
            entry.task,
            passed,
            fastest,
            published,
        )
    Console().print(table)
    for problem in problems:
        print(problem)


def _built(slug: str, here: str) -> tuple[str, str]:
    """How many variants passed, and which is the fastest, on the host `here` if it was measured there."""
    path = paths.package(slug) / MANIFEST_FILE
    if not path.is_file():
        return "-", "-"
    manifest = Manifest.from_json(path.read_bytes())
    passed = sum(variant.status == "passed" for variant in manifest.variants)
    benchmark = summary.benchmark_of(manifest, here)
    best = summary.fastest(manifest, benchmark) if benchmark else None
    count = f"{passed}/{len(manifest.variants)}"
    if benchmark is None or best is None:
        return count, "-"
    where = "" if benchmark.host.name == here else f" on {benchmark.host.name}"
    return count, f"{best.id}, {best.speedup:.2f}x torch{where}"


def _published(slug: str, folder: Callable[[], Path]) -> tuple[str, str | None]:
    """Where the model went; and, where it is packed here, what is wrong with that and what to do."""
    receipt, packed = load_receipt(slug), paths.package(slug) / MANIFEST_FILE
    if receipt is None:
        return "-", None
    if packed.is_file():
        there = folder() / receipt.repo / MANIFEST_FILE
        if _sha256(packed) != receipt.manifest_sha256:
            return (
                f"{receipt.repo} (differs)",
                f"{slug}: what is packed here is not what was published last. Run `dvc repro`.",
            )
        if receipt.target == "folder" and not (there.is_file() and _sha256(there) == receipt.manifest_sha256):
            return (
                f"{receipt.repo} (gone)",
                f"{slug}: {there} is not what the receipt says. Run `python -m stages publish {slug}`.",
            )
    return receipt.repo, None


def _sha256(path: Path) -> str:
    return describe_file(path.parent, path.name).sha256
