"""`schema`: write what documents repeat of the code: the JSON Schemas, the table of stages, and reference pages."""

import json
from typing import Any

import msgspec

from artificer.hub.index import index_schema
from artificer.manifest import manifest_schema
from stages import pipeline
from stages.commands.reference_pages import reference_pages
from stages.core import files, paths
from stages.registry.model_list import ModelsFile
from stages.tasks import BUILDING_TASKS


def schema() -> None:
    """Write the JSON Schemas of the registry, of the manifest and of the index; the pages in docs/reference; and the
    table of docs/pipeline.md."""
    for path, value in (
        (paths.MODELS_SCHEMA, models_schema()),
        (paths.MANIFEST_SCHEMA, manifest_schema()),
        (paths.INDEX_SCHEMA, index_schema()),
    ):
        files.write_file(path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())
        print(path)
    if paths.REFERENCE.is_dir():
        for path, page in reference_pages().items():
            files.write_file(path, page.encode())
            print(path)
    if paths.PIPELINE_PAGE.is_file():
        page = paths.PIPELINE_PAGE.read_text(encoding="utf-8")
        files.write_file(paths.PIPELINE_PAGE, pipeline.with_table(page).encode())
        print(paths.PIPELINE_PAGE)


def models_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of registry/models.yaml, for editors."""
    found = msgspec.json.schema(ModelsFile)
    found["$defs"]["ModelEntry"]["properties"]["task"] = {"enum": [*BUILDING_TASKS]}
    return found
