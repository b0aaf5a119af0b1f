"""The ONNX variants of a published folder as an onnxruntime model package, read back by onnxruntime's own reader.

A model package holds one component, with a variant for each graph. onnxruntime, since 1.32, chooses one by its
execution provider and opens it. Among variants of one provider it takes the first, whatever instruction sets the
machine has. So the order matters: by default float32 comes first, which is right on every CPU.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from msgspec import Struct

from artificer.errors import InputError, MissingRuntimeError, SelectionError
from artificer.loading.integrity import verify_files
from artificer.loading.location import read_manifest
from artificer.manifest import Device, Manifest, Variant
from artificer.tasks.task import task_of

SCHEMA = "1.0"
VARIANTS, ASSETS = "variants", "assets"
_GRAPH = ".onnx"
_PROVIDERS: dict[Device, tuple[str, str]] = {
    "cpu": ("CPUExecutionProvider", "cpu"),
    "cuda": ("CUDAExecutionProvider", "gpu"),
}


class ExportedPackage(Struct, frozen=True):
    """What was written: the variants in the order of preference, the one that the reader opens here, and what was left
    out, with the reasons."""

    folder: Path
    variants: tuple[str, ...]
    opened: str
    left_out: dict[str, str]


def export_package(folder: Path, out: Path, variants: Sequence[str] = ()) -> ExportedPackage:
    """Write the package to `out`, which must be empty or missing, and read it back.

    Args:
        folder: a published folder. Its files are verified first.
        variants: these alone, in this order of preference; empty for all that can be written, float32 first.

    Raises:
        InputError: `out` holds something, lies in `folder`, or cannot be written.
        SelectionError: a variant of `variants` cannot be written, or none can.
        MissingRuntimeError: the installed onnxruntime has no reader of model packages.
        ManifestError, IntegrityError: the folder is not what its manifest says.
    """
    onnxruntime = _onnxruntime()
    manifest, sha256 = read_manifest(folder)
    chosen, left_out = _choose(manifest, variants)
    _check_target(folder, out)
    taken = {entry.path for variant in chosen for entry in variant.files} | {entry.path for entry in manifest.files}
    entries = [entry for entry in manifest.published_files() if entry.path in taken]
    verify_files(folder, entries, manifest_sha256=sha256, verification_cache=None, mode="full")
    partial = out.with_name(f".{out.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        places = _copy_graphs(folder, partial, chosen)
        asset = _copy_asset(onnxruntime, folder, partial, manifest)
        document = _document(manifest, sha256, chosen, places, asset)
        # Not sorted: the order of the variants is the order of preference.
        (partial / "manifest.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        opened = read_back(partial, manifest)
        if out.exists():
            out.rmdir()
        partial.rename(out)
    except OSError as error:
        raise InputError(
            f"{out}: cannot be written: {error.strerror} ({error.filename}). Nothing was left there."
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return ExportedPackage(out, tuple(document["components"][manifest.slug]["variants"]), opened, left_out)


def read_back(package: Path, manifest: Manifest) -> str:
    """Open a package with onnxruntime's reader, and the variant that it chooses on the CPU; the name of that variant.

    Raises:
        InputError: the reader refuses the package, or finds another model in it.
    """
    onnxruntime = _onnxruntime()
    try:
        onnxruntime.ModelPackage.open(str(package)).close()  # unknown fields are errors
        context = onnxruntime.ModelPackageContext(str(package))
        options = onnxruntime.ModelPackageOptions(onnxruntime.SessionOptions())
        component = context.select_component(manifest.slug, options)
        session = component.create_session()
    except Exception as error:  # onnxruntime's own kinds
        raise InputError(f"{package}: onnxruntime {onnxruntime.__version__} cannot read it: {error}") from None
    inputs = {each.name for each in session.get_inputs()}
    if context.get_component_names() != [manifest.slug] or inputs != set(manifest.inputs):
        raise InputError(f"{package}: onnxruntime reads another model: inputs {sorted(inputs)}.")
    return str(component.get_selected_variant_name())


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise MissingRuntimeError("A model package needs onnxruntime: pip install 'onnxruntime>=1.32'.") from None
    if not hasattr(onnxruntime, "ModelPackageContext"):
        raise MissingRuntimeError(
            f"onnxruntime {onnxruntime.__version__} has no reader of model packages: pip install 'onnxruntime>=1.32'."
        )
    return onnxruntime


def _choose(manifest: Manifest, wanted: Sequence[str]) -> tuple[list[Variant], dict[str, str]]:
    """The variants to write, in order, and why others are not written."""
    reasons = {variant.id: reason for variant in manifest.variants if (reason := _unfit(variant)) is not None}
    if wanted:
        if refused := [name for name in wanted if manifest.variant(name).id in reasons]:
            raise SelectionError("; ".join(f"{name}: {reasons[name]}" for name in refused) + ".")
        chosen = [manifest.variant(name) for name in dict.fromkeys(wanted)]
        left_out = {each.id: "not asked for" for each in manifest.variants if each not in chosen}
        return chosen, {**left_out, **reasons}
    chosen = [variant for variant in manifest.variants if variant.id not in reasons]
    if not chosen:
        raise SelectionError(f"{manifest.slug} has no ONNX variant that passed.")
    return sorted(chosen, key=lambda variant: (variant.precision_class != "fp32", variant.rank.cpu)), reasons


def _unfit(variant: Variant) -> str | None:
    if variant.status != "passed":
        return f"it {variant.status}" if variant.status == "failed" else "it is unsupported"
    if PurePosixPath(variant.graph or "").suffix != _GRAPH:
        return f"onnxruntime does not open graphs of {variant.runtime}"
    return None


def _check_target(folder: Path, out: Path) -> None:
    if out.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{out} lies in the published folder {folder}, which must stay as it was published.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: expected an empty folder or nothing. Choose another, or remove it.")


def _copy_graphs(folder: Path, package: Path, variants: Sequence[Variant]) -> dict[str, tuple[str, str]]:
    """By variant, its folder in the package and the name of its graph. Equal graphs are copied once."""
    places: dict[str, tuple[str, str]] = {}
    by_content: dict[tuple[str, ...], tuple[str, str]] = {}
    for variant in variants:
        graph = PurePosixPath(variant.graph or "")
        entries = {PurePosixPath(entry.path).name: entry for entry in variant.files}
        sidecars = sorted(f"{name} {entry.sha256}" for name, entry in entries.items() if name != graph.name)
        content = (entries[graph.name].sha256, *sidecars)
        if content not in by_content:
            place = f"{VARIANTS}/{variant.id}"
            (package / place).mkdir(parents=True)
            for name, entry in entries.items():
                shutil.copyfile(folder / entry.path, package / place / name)
            by_content[content] = place, graph.name
        places[variant.id] = by_content[content]
    return places


def _copy_asset(onnxruntime: Any, folder: Path, package: Path, manifest: Manifest) -> tuple[str, str]:
    """Tokenizer and configuration, as a shared asset: its URI, by onnxruntime's own hash, and its folder."""
    scratch = package / ASSETS / "new"
    for entry in manifest.files:
        (scratch / entry.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / entry.path, scratch / entry.path)
    uri = str(onnxruntime.ModelPackage.compute_directory_hash(str(scratch)))
    place = f"{ASSETS}/{uri.replace(':', '-')}"
    scratch.rename(package / place)
    return uri, place


def _document(
    manifest: Manifest,
    sha256: str,
    variants: Sequence[Variant],
    places: dict[str, tuple[str, str]],
    asset: tuple[str, str],
) -> dict[str, Any]:
    """manifest.json of the package."""
    uri, place = asset
    return {
        "schema_version": SCHEMA,
        "layout": "portable",
        "package_name": manifest.name,
        "package_version": sha256,
        "description": f"{manifest.source.location} at {manifest.source.revision}, built and proven by Artificer",
        "components": {
            manifest.slug: {
                "variants": {
                    name: _variant(variant, device, *places[variant.id])
                    for variant in variants
                    for name, device in _named(variant)
                }
            }
        },
        "shared_assets": {uri: place},
        "additional_metadata": {
            "artificer": {
                "manifest_sha256": sha256,
                "source": manifest.source.location,
                "revision": manifest.source.revision,
                "license": manifest.source.license,
                "task": manifest.task,
                "inputs": list(manifest.inputs),
                "output": task_of(manifest).output,
                "result": manifest.head.result,
                "max_length": manifest.max_length,
                "tokenizer": f"{uri}/{manifest.tokenizer.file}",
            }
        },
    }


def _named(variant: Variant) -> list[tuple[str, Device]]:
    """A name for each device that the variant is proven on."""
    devices = {record.device for record in variant.parity if record.verdict == "passed"}
    names: list[tuple[str, Device]] = []
    if "cpu" in devices:
        names.append((variant.id, "cpu"))
    if "cuda" in devices:
        names.append((f"{variant.id}-cuda", "cuda"))
    return names


def _variant(variant: Variant, device: Device, place: str, graph: str) -> dict[str, Any]:
    provider, hardware = _PROVIDERS[device]
    return {
        "ep": provider,
        "device": hardware,
        "variant_directory": place,
        "executor_info": {"ort": {"model_file": graph}},
        "additional_metadata": {
            "artificer": {
                "precision_class": variant.precision_class,
                "requires_isa": list(variant.requires_isa),
                "digest": variant.digest,
            }
        },
    }
