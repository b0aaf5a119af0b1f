"""`pin` and `pin-data`: lock what a source or a data set is now."""

import json
import tempfile
from pathlib import Path
from typing import Any

from stages.core import files, paths
from stages.core.errors import RegistryError, UsageError
from stages.core.params import load_params
from stages.hub.calls import hub_errors
from stages.registry import checkpoint, model_list, sources


def pin(slug: list[str]) -> None:
    """Lock the files of entries as they are now, and print what changed."""
    for name in slug:
        entry = model_list.load_entry(name)
        with tempfile.TemporaryDirectory() as folder:
            lock = sources.pin(entry.source, Path(folder))
            checkpoint.inspect(Path(folder), entry.source.location)
        try:
            before = {entry.path: entry for entry in model_list.load_lock(name, entry).files}
        except RegistryError:
            before = {}
        now = {entry.path: entry for entry in lock.files}
        changed = [path for path in sorted(before.keys() | now.keys()) if before.get(path) != now.get(path)]
        files.write_file(paths.lock(name), model_list.lock_json(lock))
        print(f"{name}: {lock.location} at {lock.identity}: {', '.join(changed) or 'nothing'} changed")


def pin_data(name: list[str]) -> None:
    """Lock the commit of Hub data sets of params.yaml."""
    from huggingface_hub import HfApi

    sets = load_params().data.sets
    locked: dict[str, Any] = json.loads(paths.DATA_LOCK.read_text(encoding="utf-8"))
    for set_name in name:
        data_set = sets.get(set_name)
        if data_set is None or not data_set.dataset:
            raise UsageError(f"{paths.PARAMS}: data.sets has no Hub data set {set_name!r}.")
        with hub_errors(data_set.dataset, data_set.revision):
            commit = HfApi().dataset_info(data_set.dataset, revision=data_set.revision).sha
        locked[set_name] = {"dataset": data_set.dataset, "from": data_set.revision, "commit": commit}
        print(f"{set_name}: {data_set.dataset} at {commit}")
    files.write_file(paths.DATA_LOCK, (json.dumps(locked, indent=2, sort_keys=True) + "\n").encode())
