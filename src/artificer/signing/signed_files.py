"""What a signature says: the SHA-256 of every file. Compared with the manifest and the folder; nothing is hashed here.

The files themselves are hashed when `loading.integrity` compares them with the manifest, which has the same hashes.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from artificer.errors import SignatureError
from artificer.manifest import MANIFEST_FILE, SIGNATURE_FILE, FileEntry

STATEMENT = "https://model_signing/signature/v1.0"
PATHS_OF_GIT = (".git", ".github", ".gitattributes", ".gitignore")
"""What git and the Hub add to a copy; the package model-signing leaves it out as well."""
_NAMED = 5


class SignedFiles(Struct, frozen=True):
    """The signed hashes by path. `where` and `signer` are for messages; `certificate` is the signer's, in DER, if the
    signature has one."""

    where: str
    signer: str
    files: dict[str, str]
    certificate: bytes | None = None

    def check_manifest(self, sha256: str) -> None:
        """Raise SignatureError unless the manifest's bytes, of which this is the hash, were signed."""
        signed = self.files.get(MANIFEST_FILE)
        if signed != sha256:
            raise SignatureError(
                f"{self.where}: {MANIFEST_FILE} has sha256 {sha256}, and {SIGNATURE_FILE} is for {signed}: the manifest"
                " was changed or replaced after it was signed. Nothing else was opened. Publish the model again."
            )

    def check_entries(self, entries: Iterable[FileEntry]) -> None:
        """Raise SignatureError unless the manifest lists exactly the files that were signed, with the same hashes."""
        listed = {entry.path: entry.sha256 for entry in entries}
        signed = {path: sha256 for path, sha256 in self.files.items() if path != MANIFEST_FILE}
        if listed != signed:
            differing = sorted(path for path in listed.keys() | signed.keys() if listed.get(path) != signed.get(path))
            raise SignatureError(
                f"{self.where}: {MANIFEST_FILE} and {SIGNATURE_FILE} differ in {_some(differing)}. Nothing else was"
                " opened. Publish the model again."
            )

    def check_folder(self, folder: Path) -> None:
        """Raise SignatureError when the folder holds a file that was not signed, or lacks one that was."""
        found = set(_names(folder))
        if added := sorted(found - self.files.keys() - {SIGNATURE_FILE}):
            raise SignatureError(
                f"{self.where}: added after it was signed: {_some(added)}. Nothing else was opened. Remove these"
                " files, or fetch the folder again."
            )
        if missing := sorted(self.files.keys() - found):
            raise SignatureError(f"{self.where}: signed files are missing: {_some(missing)}. Fetch the folder again.")


def parse(data: bytes, where: str, signer: str) -> SignedFiles:
    """What the bytes of a model.sig say, whoever signed them.

    Raises:
        SignatureError: they are not a signature of the kind that Artificer makes: SHA-256 of whole files.
    """
    try:
        bundle = json.loads(data, object_pairs_hook=_unambiguous)
        statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"], validate=True))
        predicate = statement["predicate"]
        if statement["predicateType"] != STATEMENT or predicate["serialization"]["method"] != "files":
            raise ValueError("a statement of another kind")
        files: dict[str, str] = {}
        for resource in predicate["resources"]:
            if resource["algorithm"] != "sha256" or resource["name"] in files:
                raise ValueError("other hashes than SHA-256, or a file twice")
            files[str(resource["name"])] = str(resource["digest"])
        return SignedFiles(where, signer, files, _certificate(bundle["verificationMaterial"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SignatureError(
            f"{where}: {SIGNATURE_FILE} cannot be read ({type(error).__name__}: {error}): expected a signature by"
            " model-signing, with the SHA-256 of every file. Nothing else was opened. Publish the model again."
        ) from None


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object of which every reader finds the same value for a key: protobuf's readers know `a_b` as `aB`."""
    found = dict(pairs)
    if len(found) != len(pairs) or any("_" in key for key in found):
        raise ValueError("a key that can be read in two ways")
    return found


def _certificate(material: dict[str, Any]) -> bytes | None:
    chain = material.get("x509CertificateChain", {}).get("certificates", [])
    found = chain[0] if chain else material.get("certificate")
    return base64.b64decode(found["rawBytes"]) if found else None


def _names(folder: Path) -> Iterator[str]:
    """Every file below, links included, but what belongs to git."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if name.parts[0] not in PATHS_OF_GIT and (path.is_symlink() or not path.is_dir()):
            yield name.as_posix()


def _some(paths: list[str]) -> str:
    more = len(paths) - _NAMED
    return ", ".join(paths[:_NAMED]) + (f" and {more} more" if more > 0 else "")
