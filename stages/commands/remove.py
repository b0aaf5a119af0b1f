"""`remove`: the entry of a model, its lock, and what was built of it. What was published is not touched."""

import re
import shutil
from pathlib import Path
from typing import Any

import yaml

from stages.commands.own_data import SETS
from stages.core import files, paths
from stages.core.params import BuildParams, load_params
from stages.core.yaml_edit import remove_item
from stages.core.yaml_files import read_yaml
from stages.records.receipts import load_receipt
from stages.registry import model_list
from stages.texts.set_pins import Pin, file_pin, load_pins, write_pins

DVC_LOCK = Path("dvc.lock")


def remove(slug: str, *, dry_run: bool) -> None:
    """Undo `add`: remove the entry, the lock, the sets that `add` declared, what was built, and dvc.lock's stages."""
    if slug not in model_list.slugs():
        model_list.load_entry(slug)  # raises, and says which there are
    params = load_params()
    text = paths.REGISTRY.read_bytes().decode()
    updated = remove_item(text, paths.REGISTRY, ("models",), slug)
    own = _own_sets(slug, params)
    params_text = paths.PARAMS.read_bytes().decode()
    updated_params = params_text
    for name in own:
        updated_params = remove_item(updated_params, paths.PARAMS, SETS, name)
    locked = _dvc_lock_without(slug)
    built = [path for path in _built(slug) if path.exists()]
    shared = {each.path for name, each in params.data.sets.items() if name not in own}
    data = [Path(pin["path"]) for pin in own.values() if pin["path"] not in shared and _is_our_copy(pin)]
    verb = "would remove" if dry_run else "removed"
    print(f"{verb} models.{slug} from {paths.REGISTRY}")
    for name in own:
        print(f"{verb} data.sets.{name} from {paths.PARAMS}")
    for path in (*built, *data):
        print(f"{verb} {path}")
    if locked is not None:
        print(f"{verb} the stages of {slug} from {DVC_LOCK}")
    for line in _left(slug, own, data):
        print(line)
    if dry_run:
        return
    files.write_file(paths.REGISTRY, updated.encode())
    if own:
        files.write_file(paths.PARAMS, updated_params.encode())
        write_pins({name: pin for name, pin in load_pins().items() if name not in own})
    if locked is not None:
        files.write_file(DVC_LOCK, locked.encode())
    for path in (*built, *data):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _built(slug: str) -> list[Path]:
    """The lock, and all that stages wrote for the model, except the receipt."""
    return [
        paths.lock(slug),
        paths.benchmarks(slug),
        paths.parity_records(slug),
        paths.model(slug),
        paths.package(slug),
        paths.signature(slug).parent,
        paths.metrics(slug),
        paths.resources(slug, "fetch").parent,
    ]


def _own_sets(slug: str, params: BuildParams) -> dict[str, Pin]:
    """Sets that `add` declared for this model, and that nothing else uses."""
    used = {params.data.evaluation, params.data.calibration}
    used |= {load.set for preset in params.benchmark.presets.values() for load in preset.workloads.values()}
    # As it is written: another entry may be malformed, or this one, which is then removed all the same.
    models = read_yaml(paths.REGISTRY)["models"]
    used |= {name for other, raw in models.items() if other != slug for name in _named(raw)}
    return {
        name: pin
        for name, pin in load_pins().items()
        if pin.get("added_by") == slug and name in params.data.sets and name not in used
    }


def _named(raw: Any) -> set[str]:
    data = raw.get("data") if isinstance(raw, dict) else None
    return {str(name) for name in data.values()} if isinstance(data, dict) else set()


def _is_our_copy(pin: Pin) -> bool:
    """Whether `add` copied the file, and nobody has changed it since."""
    path = Path(pin["path"])
    return bool(pin.get("copied")) and path.is_file() and file_pin(path)["sha256"] == pin["sha256"]


def _left(slug: str, own: dict[str, Pin], data: list[Path]) -> list[str]:
    """What stays, and why."""
    said = []
    for pin in own.values():
        if Path(pin["path"]) not in data and Path(pin["path"]).exists():
            said.append(f"left {pin['path']}: it was there before, has changed since, or is in use")
    receipt = load_receipt(slug)
    if receipt is not None:
        said.append(
            f"left {paths.receipt(slug)}, and what it names: {receipt.repo} stays published, and an index that lists "
            "it is not changed"
        )
    said.append("left DVC's cache: `dvc gc --workspace` removes what nothing uses")
    return said


def _dvc_lock_without(slug: str) -> str | None:
    """dvc.lock without the stages of a model; None if it has none. DVC writes one stage after the other, each at two
    spaces; DVC itself would keep them."""
    if not DVC_LOCK.is_file():
        return None
    text = DVC_LOCK.read_bytes().decode()
    stages = re.compile(rf"^  [a-z_]+@{re.escape(slug)}:\n(?:   .*\n)*", re.MULTILINE)
    updated = stages.sub("", text)
    if updated.rstrip().endswith("\nstages:"):
        updated = updated.rstrip() + " {}\n"
    if updated == text:
        return None
    before, after = _parsed(text), _parsed(updated)
    kept = {name: stage for name, stage in before["stages"].items() if name.partition("@")[2] != slug}
    if after != {**before, "stages": kept}:
        print(f"left {DVC_LOCK} unchanged: DVC did not write its present form")
        return None
    return updated


def _parsed(text: str) -> Any:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the file is long, and the other loader slow
    return yaml.load(text, Loader=loader)
