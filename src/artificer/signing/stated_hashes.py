"""Hashes that are known already, in the place of model-signing's own hashing, so that nothing is read a second time."""

from collections.abc import Iterable, Mapping
from os import PathLike

from model_signing import hashing, manifest

from artificer.manifest import SIGNATURE_FILE
from artificer.signing.signed_files import PATHS_OF_GIT

# What a verifier that hashes the folder itself has to do, and to leave out.
_SERIALIZATION = {
    "method": "files",
    "hash_type": "sha256",
    "allow_symlinks": False,
    "ignore_paths": [SIGNATURE_FILE, *PATHS_OF_GIT],
}


class StatedHashes(hashing.Config):
    """A hashing configuration that returns `files`, SHA-256 by path, for any folder. `name` is the model's."""

    def __init__(self, name: str, files: Mapping[str, str]):
        super().__init__()  # type: ignore[no-untyped-call]  # it has no annotations
        self._name, self._files = name, dict(files)

    def hash(
        self,
        model_path: str | bytes | PathLike[str] | PathLike[bytes],  # noqa: ARG002
        *,
        files_to_hash: Iterable[str | bytes | PathLike[str] | PathLike[bytes]] | None = None,  # noqa: ARG002
    ) -> manifest.Manifest:
        """What model-signing would have found by reading the files."""
        kind = manifest.SerializationType.from_args(_SERIALIZATION)
        items = [
            kind.new_item(path, hashing.hashing.Digest("sha256", bytes.fromhex(sha256)))
            for path, sha256 in self._files.items()
        ]
        return manifest.Manifest(self._name, items, kind)
