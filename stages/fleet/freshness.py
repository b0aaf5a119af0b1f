"""Which models need work, from dvc.lock alone: no artifact is read, and DVC is not asked.

A stage is up to date when its command, its parameters, and the hash of everything that it depends on are those of its
lock. An output of another stage counts as its lock has it, so what was built on other machines need not be here.
Whatever is not the same, in any way, is left to DVC, which decides in the model's workspace.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.core import paths
from stages.core.yaml_files import read_yaml
from stages.fleet.dvc_hashes import Hashes, cached_folder, folder_hash
from stages.fleet.lock_blocks import Blocks, parse_block

PIPELINE = Path("dvc.yaml")
KEY = "${key}"


def model_stages(target: str) -> list[str]:
    """The stages that run for each model, in the order of dvc.yaml, up to `target`."""
    names = [name for name, stage in read_yaml(PIPELINE)["stages"].items() if "foreach" in stage]
    return names[: names.index(target) + 1]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What all models share, read once: the pipeline, the values of parameters, and hashes."""

    stages: dict[str, Any]
    params: dict[str, Any]
    models: dict[str, Any]
    hashes: Hashes
    cache: Path = Path(".dvc/cache")

    @classmethod
    def read(cls) -> "Inputs":
        """From the working directory."""
        return cls(
            read_yaml(PIPELINE)["stages"], read_yaml(paths.PARAMS), read_yaml(paths.REGISTRY)["models"] or {}, Hashes()
        )


def stale_stage(slug: str, names: list[str], blocks: Blocks, inputs: Inputs, *, any_host: bool = False) -> str | None:
    """The first stage of the model that is not up to date; None where all are. With `any_host`, the machine that
    measured does not matter."""
    locks: dict[str, Any] = {}
    for name in names:
        block = blocks.get(f"{name}@{slug}")
        if block is None:
            return name
        locks[name] = parse_block(block)
    outs = {out["path"]: out for lock in locks.values() for out in lock.get("outs", ())}
    for name in names:
        if not _is_fresh(slug, inputs.stages[name]["do"], locks[name], outs, inputs, any_host):
            return name
    return None


def _is_fresh(
    slug: str, stage: dict[str, Any], lock: dict[str, Any], outs: Mapping[str, Any], inputs: Inputs, any_host: bool
) -> bool:
    if lock.get("cmd") != stage["cmd"].replace(KEY, slug):
        return False
    if {*_paths(stage["outs"], slug)} != {out["path"] for out in lock.get("outs", ())}:
        return False
    locked = {dep["path"]: dep for dep in lock.get("deps", ())}
    wanted = {*_paths(stage.get("deps", []), slug)}
    if wanted != locked.keys():
        return False
    for path in wanted:
        if any_host and path == paths.HOST.as_posix():
            continue
        if not _is_the_same(path, locked[path], outs, inputs):
            return False
    return _params_are(slug, stage.get("params", []), lock.get("params", {}), inputs)


def _is_the_same(path: str, locked: Mapping[str, Any], outs: Mapping[str, Any], inputs: Inputs) -> bool:
    """Whether a dependency is what its lock says: an output, a file in one, a folder of several, or a file of ours."""
    if path in outs:
        return bool(outs[path].get("md5") == locked.get("md5"))
    within = [out for out in outs if path.startswith(f"{out}/")]
    if within:
        files = cached_folder(outs[within[0]]["md5"], inputs.cache)
        return files is None or files.get(path.removeprefix(f"{within[0]}/")) == locked.get("md5")
    below = [out for out in outs if out.startswith(f"{path}/")]
    if not below:
        return inputs.hashes.of(path) == locked.get("md5")
    members: dict[str, str] = {}
    for out in below:
        files = cached_folder(outs[out]["md5"], inputs.cache)
        if files is None:  # built elsewhere: the sums must do
            return all(
                sum(outs[each].get(key, 1) for each in below) == locked.get(key, 1) for key in ("size", "nfiles")
            )
        members |= {f"{out.removeprefix(f'{path}/')}/{file}": md5 for file, md5 in files.items()}
    return folder_hash(members) == locked.get("md5")


def _paths(entries: list[Any], slug: str) -> Iterator[str]:
    for entry in entries:
        path = next(iter(entry)) if isinstance(entry, dict) else entry
        yield path.replace(KEY, slug)


def _params_are(slug: str, wanted: list[Any], locked: Mapping[str, Mapping[str, Any]], inputs: Inputs) -> bool:
    found: dict[str, dict[str, Any]] = {}
    for entry in wanted:
        if isinstance(entry, dict):
            ((_, keys),) = entry.items()
            if keys != [f"models.{KEY}"]:
                return False
            found[paths.REGISTRY.as_posix()] = {f"models.{slug}": inputs.models.get(slug)}
        else:
            found.setdefault(paths.PARAMS.as_posix(), {})[entry] = _value(inputs.params, entry)
    return found == {path: dict(values) for path, values in locked.items()}


def _value(params: Any, key_path: str) -> Any:
    for key in key_path.split("."):
        params = params.get(key) if isinstance(params, dict) else None
    return params
