"""How a building stage builds its variants: one folder and one variant.json for each, also if it fails."""

import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from artificer.manifest import Fallback, Runtime, canonical_json
from stages.building.recipes import plain
from stages.core import files, paths
from stages.core.child_process import ChildKilledError
from stages.core.errors import BuildError, first_line
from stages.core.params import load_params
from stages.core.variants import Step, VariantRow, row, rows_of_step
from stages.records.entry_recipes import load_recipes
from stages.records.model_spec import load_spec
from stages.records.variant_record import RECORD, VariantRecord, load_record


class UnsupportedError(BuildError):
    """The toolchain says that it cannot build this variant of this architecture."""


class Built(Struct, frozen=True, kw_only=True):
    """What a maker reports about a variant that it has put into its folder. `alias_of` is an earlier variant of the
    step with the same graph: what was measured of that one holds for both."""

    recipe: dict[str, Any]
    inputs: tuple[str, ...]
    opset: int | None = None
    notes: tuple[str, ...] = ()
    fallback: Fallback | None = None
    alias_of: str | None = None


Tools = Mapping[Runtime, Sequence[str]]
"""Names of distributions, by runtime."""
Maker = Callable[[VariantRow, Path, dict[str, Any]], Built]
WantedRow = tuple[VariantRow, dict[str, Any]]
"""A variant to build, with the overrides of its recipe."""


def build_step(slug: str, step: Step, tools: Tools, make: Maker, *, at_once: int = 1) -> None:
    """Build the wanted variants of one step: `make(row, folder, overrides)` fills the folder of each.

    The record of each names the versions of its runtime's `tools`. If `make` raises an exception, it is recorded, and
    the other variants are still built. A BuildError stops the stage, unless it is an UnsupportedError. If `at_once` is
    more than 1, that many threads call `make`, which must then do its work in child processes. A variant whose process
    was killed, probably for lack of memory, is then built once more, alone.
    """
    wanted = wanted_rows(slug, step)
    with files.staged_folder(paths.step(slug, step)) as out:

        def build(row: VariantRow, overrides: dict[str, Any], *, alone: bool) -> None:
            folder = out / row.id
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            print(f"{row.id:24} …", flush=True)
            started = time.perf_counter()
            record = _attempt(row, folder, overrides, tools[row.backend], make, alone=alone)
            (folder / RECORD).write_bytes(canonical_json(record))
            seconds = time.perf_counter() - started
            size = sum(entry.size for entry in record.files) / 1e6
            print(f"{row.id:24} {record.status:11} {seconds:6.1f} s {size:9.1f} MB  {record.reason or ''}", flush=True)

        def build_beside_others(wanted_row: WantedRow) -> WantedRow | None:
            """The row itself if its process was killed."""
            try:
                build(*wanted_row, alone=False)
            except ChildKilledError as problem:
                print(f"{wanted_row[0].id:24} will be built alone: {problem}", flush=True)
                return wanted_row
            return None

        again: list[WantedRow | None] = [*wanted]
        if at_once > 1:
            with ThreadPoolExecutor(at_once) as pool:
                again = list(pool.map(build_beside_others, wanted))
        for wanted_row in filter(None, again):
            build(*wanted_row, alone=True)


def wanted_rows(slug: str, step: Step) -> list[WantedRow]:
    """The variants of a step to build for this model, each with the overrides of its recipe."""
    spec, defaults, own = load_spec(slug), load_params().recipes.of_step(step), load_recipes(slug, step)
    rows = [row for row in rows_of_step(step) if row.id in spec.variants]
    return [(row, {**defaults.get(row.id, {}), **own.get(row.id, {})}) for row in rows]


def parent_graph(slug: str, variant_id: str) -> Path:
    """The graph that another variant is made from. Raises RuntimeError, to be recorded, when it was not built."""
    record = load_record(slug, variant_id)
    if record.status != "built":
        raise RuntimeError(f"it is made from {variant_id}, which was not built: {record.reason}")
    return paths.variant(slug, row(variant_id)) / row(variant_id).file_name


def keep_only(folder: Path, stem: str) -> None:
    """Remove the configurations and tokenizers that exporters write beside a graph and its sidecars: the published
    ones are the source's own."""
    for path in folder.iterdir():
        if not path.name.startswith(stem):
            path.unlink()


def _attempt(
    row: VariantRow, folder: Path, overrides: dict[str, Any], tools: Sequence[str], make: Maker, *, alone: bool
) -> VariantRecord:
    """What became of one variant. Raises ChildKilledError where others were built at the same time, which may have
    taken the memory."""
    status: Literal["built", "failed", "unsupported"] = "built"
    reason, built = None, Built(recipe={"preset": row.preset, "overrides": plain(overrides)}, inputs=())
    try:
        built = make(row, folder, overrides)
        if not (folder / row.file_name).is_file():
            raise RuntimeError(f"the toolchain did not write {row.file_name}")
    except (NotImplementedError, UnsupportedError) as error:
        status, reason = "unsupported", _reason(error, folder)
    except BuildError:
        raise
    except Exception as error:
        if isinstance(error, ChildKilledError) and not alone:
            raise
        # Any library may raise anything here; it becomes the variant's recorded outcome.
        status, reason = "failed", _reason(error, folder)
    if status != "built":
        shutil.rmtree(folder)
        folder.mkdir()
    return VariantRecord(
        id=row.id,
        status=status,
        reason=reason,
        recipe=built.recipe,
        inputs=built.inputs,
        opset=built.opset,
        notes=built.notes,
        tools={name: version(name).partition("+")[0] for name in tools},
        files=files.describe_folder(folder),
        fallback=built.fallback,
        alias_of=built.alias_of if status == "built" else None,
    )


def _reason(error: Exception, folder: Path) -> str:
    """The error's first line, without a path of this machine. Our own errors need no kind before their text."""
    is_ours = type(error) is RuntimeError or type(error).__module__.startswith("stages.")
    text = first_line(error, with_kind=not is_ours)
    text = text.replace(str(folder.resolve()), folder.name).replace(str(folder), folder.name)
    return re.sub(r"(?:/[\w.+-]+){2,}/", "", text)
