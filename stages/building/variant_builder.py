"""What the five building stages share: one folder and one variant.json a variant, whatever becomes of it."""

import re
import shutil
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from artificer.manifest import Fallback, FileEntry, canonical_json
from stages.core import files, paths
from stages.core.child_process import ChildKilledError
from stages.core.errors import BuildError, RegistryError, ToolchainError
from stages.core.params import load_params
from stages.core.variants import Step, VariantRow, row, rows_of_step
from stages.records.model_spec import load_spec
from stages.toolchain.onnx.sidecars import SidecarError, normalise_sidecars

RECORD = "variant.json"
TOOLS: dict[Step, tuple[str, ...]] = {
    "export_onnx": ("torch", "transformers", "optimum", "optimum-onnx", "onnx"),
    "optimize": ("optimum-onnx", "onnx", "onnxruntime"),
    "quantize_onnx": ("optimum-onnx", "onnx", "onnxruntime"),
    "export_openvino": ("torch", "transformers", "optimum-intel", "openvino"),
    "quantize_openvino": ("optimum-intel", "nncf", "openvino"),
}


class UnsupportedError(BuildError):
    """The toolchain says that it cannot build this variant of this architecture."""


class Built(Struct, frozen=True, kw_only=True):
    """What a maker tells of a variant that it has put into its folder. `alias_of` is an earlier variant of the
    step that this one copies: what was measured of that one holds for both."""

    recipe: dict[str, Any]
    inputs: tuple[str, ...]
    opset: int | None = None
    notes: tuple[str, ...] = ()
    fallback: Fallback | None = None
    alias_of: str | None = None


class VariantRecord(Struct, frozen=True, kw_only=True):
    """variant.json: what was built, how, and with what; or why it was not."""

    id: str
    status: Literal["built", "failed", "unsupported"]
    reason: str | None
    recipe: dict[str, Any]
    inputs: tuple[str, ...]
    opset: int | None
    notes: tuple[str, ...]
    tools: dict[str, str]
    files: tuple[FileEntry, ...]
    fallback: Fallback | None = None
    alias_of: str | None = None


Maker = Callable[[VariantRow, Path, dict[str, Any]], Built]


def build_step(slug: str, step: Step, make: Maker) -> None:
    """Build the wanted variants of one step: `make(row, folder, overrides)` fills the folder of each.

    What `make` raises is recorded and does not stop the others; only a BuildError that is not `UnsupportedError` does.
    """
    spec, params = load_spec(slug), load_params()
    wanted = [row for row in rows_of_step(step) if row.id in spec.variants]
    with files.staged_folder(paths.step(slug, step)) as out:
        for row in wanted:
            folder = out / row.id
            folder.mkdir()
            print(f"{row.id:24} …", flush=True)
            overrides = {**params.recipes.get(row.id, {}), **spec.recipes.get(row.id, {})}
            started = time.perf_counter()
            record = _attempt(row, folder, overrides, make)
            (folder / RECORD).write_bytes(canonical_json(record))
            seconds = time.perf_counter() - started
            size = sum(entry.size for entry in record.files) / 1e6
            print(f"{row.id:24} {record.status:11} {seconds:6.1f} s {size:9.1f} MB  {record.reason or ''}", flush=True)


def load_record(slug: str, variant_id: str) -> VariantRecord:
    """A variant's record. Raises ToolchainError when its stage has not run."""
    path = paths.variant(slug, row(variant_id)) / RECORD
    try:
        return msgspec.json.decode(path.read_bytes(), type=VariantRecord)
    except FileNotFoundError:
        raise ToolchainError(f"{path} is missing: run `dvc repro` for this model.") from None


def published_files(record: VariantRecord) -> tuple[FileEntry, ...]:
    """The variant's files under their paths in the published folder; their digest is the variant's identity."""
    folder = row(record.id).file.rpartition("/")[0]
    return tuple(FileEntry(path=f"{folder}/{f.path}", size=f.size, sha256=f.sha256) for f in record.files)


def parent_graph(slug: str, variant_id: str) -> Path:
    """The graph that another variant is made from. Raises RuntimeError, to be recorded, when it was not built."""
    record = load_record(slug, variant_id)
    if record.status != "built":
        raise RuntimeError(f"it is made from {variant_id}, which was not built: {record.reason}")
    return paths.variant(slug, row(variant_id)) / row(variant_id).file_name


def check_recipe(variant_id: str, overrides: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Raise RegistryError when a recipe sets a field that the library's configuration does not have, or one of another
    kind than its default: the library would ignore the first and misread the second."""
    names = sorted(defaults)
    for name, value in overrides.items():
        where = f"{paths.PARAMS} or {paths.REGISTRY}: recipes.{variant_id}.{name}"
        if name not in names:
            raise RegistryError(f"{where}: no such field; known: {', '.join(names) or 'none'}.")
        for kind in (bool, int, float, str, list, dict):
            if isinstance(defaults[name], kind):
                wanted = (int, float) if kind is float else kind
                if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
                    raise RegistryError(f"{where}: expected a {kind.__name__}, found {value!r}.")
                break


def plain(value: Any) -> Any:
    """A library's configuration as JSON values: enumerations become their names, callables and paths are left out."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items() if not callable(item)}
    if isinstance(value, list | tuple | set | frozenset):
        items = [plain(item) for item in value]
        return sorted(items, key=str) if isinstance(value, set | frozenset) else items
    if hasattr(value, "name") and hasattr(value, "value"):
        return value.name
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _attempt(row: VariantRow, folder: Path, overrides: dict[str, Any], make: Maker) -> VariantRecord:
    status: Literal["built", "failed", "unsupported"] = "built"
    reason, built = None, Built(recipe={"preset": row.preset, "overrides": plain(overrides)}, inputs=())
    try:
        built = make(row, folder, overrides)
        if not (folder / row.file_name).is_file():
            raise RuntimeError(f"the toolchain wrote no {row.file_name}")
        if row.backend == "onnx":
            normalise_sidecars(folder, row.file_name)
    except (NotImplementedError, UnsupportedError) as error:
        status, reason = "unsupported", _one_line(error, folder)
    except BuildError:
        raise
    except Exception as error:
        # Any library may raise anything here; it becomes the variant's recorded outcome.
        status, reason = "failed", _one_line(error, folder)
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
        tools={name: version(name).partition("+")[0] for name in TOOLS[row.step]},
        files=files.describe_folder(folder),
        fallback=built.fallback,
        alias_of=built.alias_of if status == "built" else None,
    )


def _one_line(error: Exception, folder: Path) -> str:
    """The error's first line, without a path of this machine."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
    text = first.replace(str(folder.resolve()), row_folder := folder.name).replace(str(folder), row_folder)
    text = re.sub(r"(?:/[\w.+-]+){2,}/", "", text)
    plain_text = (RuntimeError, UnsupportedError, SidecarError, ChildKilledError)
    kind = "" if type(error) in plain_text else f"{type(error).__name__}: "
    return f"{kind}{text}"[:400]
