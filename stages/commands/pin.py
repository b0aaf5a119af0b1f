"""`pin` and `pin-data`: lock what a source or a data set is now."""

import tempfile
from pathlib import Path
from typing import Any

from stages.core import files, paths
from stages.core.errors import DataError, RegistryError, UsageError
from stages.core.params import DataSet, load_params
from stages.hub.calls import hub_errors
from stages.registry import checkpoint, model_list, sources
from stages.texts.set_pins import file_pin, load_pins, write_pins


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
    """Lock data sets of params.yaml as they are now: the commit of a Hub data set, the SHA-256 of a file."""
    sets, locked = load_params().data.sets, load_pins()
    for set_name in name:
        data_set = sets.get(set_name)
        if data_set is None:
            raise UsageError(f"{paths.PARAMS}: data.sets has no {set_name!r}; known: {', '.join(sets)}.")
        before = locked.get(set_name, {})
        if data_set.dataset:
            commit = _commit(data_set)
            locked[set_name] = {"dataset": data_set.dataset, "from": data_set.revision, "commit": commit}
            print(f"{set_name}: {data_set.dataset} at {commit}")
        else:
            path = Path(data_set.path or "")
            if not path.is_file():
                raise DataError(f"{paths.PARAMS}: data.sets.{set_name}.path: the file {path} does not exist.")
            kept: dict[str, Any] = {key: before[key] for key in ("added_by", "copied") if key in before}
            locked[set_name] = {**file_pin(path), **kept}
            print(f"{set_name}: {path}, sha256 {locked[set_name]['sha256']}")
    write_pins(locked)


def _commit(data_set: DataSet) -> str | None:
    """The commit that the revision of a Hub data set means now."""
    from huggingface_hub import HfApi

    with hub_errors(data_set.dataset or "", data_set.revision):
        return HfApi().dataset_info(data_set.dataset or "", revision=data_set.revision).sha
