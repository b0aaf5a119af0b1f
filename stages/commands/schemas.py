"""`schema`: write the JSON Schemas, for editors and for other readers of manifests and indexes."""

import json
from typing import Any

import msgspec

from artificer.hub.index import index_schema
from artificer.manifest import manifest_schema
from stages.core import files, paths
from stages.registry.model_list import ModelsFile
from stages.tasks import BUILDING_TASKS


def schema() -> None:
    """Write the JSON Schemas of the registry, of the manifest and of the index."""
    for path, value in (
        (paths.MODELS_SCHEMA, models_schema()),
        (paths.MANIFEST_SCHEMA, manifest_schema()),
        (paths.INDEX_SCHEMA, index_schema()),
    ):
        files.write_file(path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())
        print(path)


def models_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of registry/models.yaml, for editors."""
    found = msgspec.json.schema(ModelsFile)
    found["$defs"]["ModelEntry"]["properties"]["task"] = {"enum": [*BUILDING_TASKS]}
    return found
