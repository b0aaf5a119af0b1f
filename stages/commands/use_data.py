"""`use-data`: give a model of the registry data of its own, after it was added."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from stages.commands import own_data
from stages.core import files, paths
from stages.core.errors import UsageError
from stages.core.yaml_edit import add_item, remove_item
from stages.core.yaml_files import read_yaml
from stages.records.model_spec import load_spec
from stages.registry import checkpoint, model_list
from stages.registry.model_list import ModelEntry
from stages.registry.spec_resolution import check_task_name
from stages.tasks import has_one_label
from stages.texts.column_names import parse_columns
from stages.texts.sets import Use


def use_data(slug: str, evaluation: str | None, calibration: str | None, columns: str | None) -> None:
    """Declare files as data sets, as `add` does, and name them in the model's entry in place of those it has."""
    if evaluation is None and calibration is None:
        raise UsageError("expected --evaluation FILE, --calibration FILE, or both.")
    entry = model_list.load_entry(slug)
    given = parse_columns(columns) if columns else {}
    wanted: dict[Use, str | None] = {"evaluation": evaluation, "calibration": calibration}
    sets = own_data.own_sets(slug, wanted, given, _labels(slug, entry))
    names: dict[str, Any] = {use: own.name for use, own in sets.items()}
    text = paths.REGISTRY.read_bytes().decode()
    keys = ("models", slug)
    before = read_yaml(paths.REGISTRY)["models"][slug].get("data")
    if before is not None:
        text = remove_item(text, paths.REGISTRY, keys, "data")
    data = yaml.safe_dump({**(before or {}), **names}, default_flow_style=True, sort_keys=False, width=1000).strip()
    text = add_item(text, paths.REGISTRY, keys, "data", data)
    for use, own in sets.items():
        own_data.show(own, use)
    own_data.write(slug, tuple(sets.values()))
    files.write_file(paths.REGISTRY, text.encode())
    print(f"models.{slug}.data: {data}\nnext: make repro")


def _labels(slug: str, entry: ModelEntry) -> Sequence[str]:
    """Of the model: a file's column is a number for one label, and classes for several."""
    if paths.spec(slug).is_file():
        return load_spec(slug).labels
    if entry.source.path:
        return checkpoint.inspect(Path(entry.source.path), entry.source.path).labels
    check_task_name(slug, entry)
    if has_one_label(entry.task):
        return ("score",)
    raise UsageError(f"the labels of {slug} are not known yet: run `dvc repro fetch@{slug}` first.")
