"""`schema`: write the JSON Schemas, for editors and for other readers of manifests and indexes."""

import json

from artificer.hub.index import index_schema
from artificer.manifest import manifest_schema
from stages.core import files, paths
from stages.registry import model_list


def schema() -> None:
    """Write the JSON Schemas of the registry, of the manifest and of the index."""
    for path, value in (
        (paths.MODELS_SCHEMA, model_list.models_schema()),
        (paths.MANIFEST_SCHEMA, manifest_schema()),
        (paths.INDEX_SCHEMA, index_schema()),
    ):
        files.write_file(path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())
        print(path)
