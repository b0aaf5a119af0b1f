"""`list`: the registry, what is built of it, on which data it was judged, and what is published."""

import shutil
import textwrap
from collections.abc import Callable
from functools import cache
from pathlib import Path

from artificer import host
from artificer.manifest import MANIFEST_FILE, Manifest, describe_file
from stages.core import paths
from stages.core.errors import BuildError, first_line
from stages.core.params import BuildParams, load_params
from stages.packaging import summary
from stages.records.receipts import load_receipt
from stages.registry import model_list
from stages.registry.model_list import ModelEntry
from stages.registry.pin_state import pin_state
from stages.texts.set_use import borrowed_warning, set_uses

LABEL_WIDTH = 11


def list_models() -> None:
    """Some lines for each model, no wider than the terminal; then what is to be done."""
    entries = model_list.load_entries()
    print(f"{paths.REGISTRY}: {len(entries)} model{'s' * (len(entries) != 1)}")
    problems = []
    here = host.detect().name
    params = cache(load_params)  # read once; a model is listed also where that fails
    for slug, entry in entries.items():
        passed, fastest = _built(slug, here)
        published, problem = _published(slug, lambda: Path(params().publish.folder))
        data, warning = _data(slug, entry, params)
        problems += [each for each in (problem, warning) if each]
        print(f"\n{slug}")
        state = pin_state(slug, entry)
        _line("source", f"{entry.source.location}, {'pinned' if state == 'yes' else state}")
        _line("task", f"{entry.task}, license {entry.license}")
        _line("data", data)
        _line("variants", f"{passed} passed; fastest: {fastest}" if passed else "not built")
        _line("published", published)
    print("\n" * bool(problems), end="")
    for problem in problems:
        print(problem)  # whole, so that its command can be copied


def _line(label: str, text: str) -> None:
    """One fact; a long one goes on below itself. Paths and names are not broken."""
    indent = " " * (LABEL_WIDTH + 2)
    filled = textwrap.fill(
        text,
        _width(),
        initial_indent=f"  {label:{LABEL_WIDTH}}",
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    print(filled)


def _width() -> int:
    """Of the terminal; 80 where there is none."""
    return shutil.get_terminal_size().columns


def _data(slug: str, entry: ModelEntry, params: Callable[[], BuildParams]) -> tuple[str, str | None]:
    """On which sets the model is judged and calibrated; and the warning where they are the demo's."""
    try:
        evaluation, calibration = set_uses(slug, entry, params())
    except (BuildError, OSError) as error:
        return f"cannot be read: {first_line(error, with_kind=False)}", None
    return f"judged on {evaluation}, calibrated on {calibration}", borrowed_warning(slug, evaluation, calibration)


def _built(slug: str, here: str) -> tuple[str, str]:
    """How many variants passed, empty if none was built; and the fastest, on the host `here` if it was measured
    there."""
    path = paths.package(slug) / MANIFEST_FILE
    if not path.is_file():
        return "", "-"
    manifest = Manifest.from_json(path.read_bytes())
    passed = sum(variant.status == "passed" for variant in manifest.variants)
    benchmark = summary.benchmark_of(manifest, here)
    best = summary.fastest(manifest, benchmark) if benchmark else None
    count = f"{passed} of {len(manifest.variants)}"
    if benchmark is None or best is None:
        return count, "not measured"
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
                f"{slug}: the package differs from what was published last. Run `dvc repro`.",
            )
        if receipt.target == "folder" and not (there.is_file() and _sha256(there) == receipt.manifest_sha256):
            return (
                f"{receipt.repo} (gone)",
                f"{slug}: {there} differs from the receipt. Run `python -m stages publish {slug}`.",
            )
    return receipt.repo, None


def _sha256(path: Path) -> str:
    return describe_file(path.parent, path.name).sha256
