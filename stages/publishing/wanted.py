"""Which files a Hub repo is to hold, and under which names; compared with the manifest before anything is sent."""

import hashlib
from pathlib import PurePosixPath

from artificer.backends import BACKENDS
from artificer.manifest import Variant, describe_file
from stages.core.errors import PublishError
from stages.hub.repo_state import GIT_FILE_LIMIT, Wanted
from stages.publishing.package import Package
from stages.registry.model_list import PublishEntry


def wanted_files(package: Package, entry: PublishEntry) -> dict[str, Wanted]:
    """The files by their name in the repo. Raises PublishError when one is not what the manifest says."""
    names = repo_names(package, entry)
    found: dict[str, Wanted] = {}
    for path, name in names.items():
        origin = package.origins[path]
        try:
            described = describe_file(origin.parent, origin.name)
        except OSError as error:
            raise PublishError(f"{origin}: {error.strerror}. Nothing was published; run `dvc repro`.") from None
        package.check(path, described)
        blob_id = ""
        if described.size <= GIT_FILE_LIMIT:
            data = origin.read_bytes()
            blob_id = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        found[name] = Wanted(path=name, origin=origin, size=described.size, sha256=described.sha256, blob_id=blob_id)
    return found


def repo_names(package: Package, entry: PublishEntry) -> dict[str, str]:
    """Our name of every file to publish, and the repo's. Raises PublishError for names that would break a variant."""
    if entry.contents == "package":
        return {file.path: file.path for file in package.files}
    variants = [variant for variant in package.manifest.variants if variant.status == "passed"]
    names = {file.path: entry.names.get(file.path, file.path) for v in variants for file in v.files}
    where = f"models.{package.slug}.publish.names"
    if unknown := sorted(entry.names.keys() - names.keys()):
        # A variant that did not pass this time keeps its line in the entry.
        print(f"{where}: {', '.join(unknown)} is not among the files of a passed variant, and is left out")
    if len(set(names.values())) != len(names):
        raise PublishError(f"{where}: two files would have the same name in {package.repo}.")
    for variant in variants:
        _check_together(variant, names, where)
    return names


def _check_together(variant: Variant, names: dict[str, str], where: str) -> None:
    """Sidecars move with their graph. They keep their names where the graph names them, else they have the graph's."""
    assert variant.graph is not None
    suffix = BACKENDS[variant.runtime].sidecar_suffix
    graph = PurePosixPath(names[variant.graph])
    for file in variant.files:
        if file.path == variant.graph:
            continue
        name = PurePosixPath(names[file.path])
        expected = graph.with_suffix(suffix) if suffix is not None else graph.with_name(PurePosixPath(file.path).name)
        if name != expected:
            raise PublishError(f"{where}: {file.path} belongs to {variant.graph}: expected {expected}, found {name}.")
