"""model.sig of a package: made last, over the hashes of every other file, and checked before anything is published."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from artificer.errors import ArtificerError
from artificer.manifest import SIGNATURE_FILE
from artificer.signing.signature_check import check_signature
from artificer.signing.signed_by import SignedBy
from artificer.signing.signed_files import parse
from artificer.signing.stated_hashes import StatedHashes
from stages.core import files, paths
from stages.core.errors import PublishError
from stages.core.params import SigningParams
from stages.publishing.package import Package, with_signature


def sign(package: Package, params: SigningParams, held: bytes | None, *, dry_run: bool) -> Package:
    """The package with its signature.

    A signature of the same files by the same signer is used again, since no two are alike: `held`, which lies where the
    package goes, or the one that was made here last. A dry run makes no keyless signature, which would be public.

    Raises:
        PublishError: the signer cannot be used, or is not the one that `publish.signing` states.
    """
    hashes = {entry.path: entry.sha256 for entry in package.files}
    path = paths.signature(package.slug)
    for data in (held, path.read_bytes() if path.is_file() else None):
        if data is not None and _is_ours(data, hashes, params):
            files.write_file(path, data)
            return with_signature(package, path)
    if dry_run and params.identity:
        print(f"{package.slug}: would be signed by {params.identity}")
        return package
    files.write_file(path, _make(package.repo.rpartition("/")[2], hashes, params))
    print(f"{package.slug}: signed by {params}")
    return with_signature(package, path)


def _is_ours(data: bytes, hashes: dict[str, str], params: SigningParams) -> bool:
    """Whether it is a valid signature of these files by the signer that params.yaml states."""
    try:
        if parse(data, SIGNATURE_FILE, "").files != hashes:
            return False
        _check(data, params)
    except (ArtificerError, PublishError):
        return False
    return True


def _make(name: str, hashes: dict[str, str], params: SigningParams) -> bytes:
    from model_signing import signing

    config = signing.Config()
    try:
        with tempfile.TemporaryDirectory(prefix="artificer-") as folder:
            _use_signer(config, params)
            path = Path(folder, SIGNATURE_FILE)
            config.set_hashing_config(StatedHashes(name, hashes)).sign(folder, path)
            data = path.read_bytes()
        _check(data, params)
    except PublishError:
        raise
    except Exception as error:  # of files: OSError, ValueError; of Sigstore: what its client raises
        first = (str(error).strip().splitlines() or [""])[0][:300]
        raise PublishError(
            f"publish.signing: {params} cannot sign: {type(error).__name__}: {first}. Nothing was published."
        ) from None
    return data


def _use_signer(config: Any, params: SigningParams) -> None:
    if params.identity:
        _require_identity()
        config.use_sigstore_signer(use_ambient_credentials=True)
    elif params.certificate:
        config.use_certificate_signer(
            private_key=params.key, signing_certificate=params.certificate, certificate_chain=params.chain
        )
    else:
        # The annotation says text; the key's reader takes bytes.
        config.use_elliptic_key_signer(private_key=params.key, password=_password(params))


def _require_identity() -> None:
    """An identity of the environment, as CI has one, or a person who can log in."""
    from sigstore.oidc import detect_credential

    if detect_credential() is None and not sys.stdin.isatty():
        raise PublishError(
            "publish.signing: there is no identity to sign with. In a GitHub workflow, give the job the permission "
            "`id-token: write`; elsewhere run it in a terminal, where Sigstore can ask you to log in. "
            "Nothing was published."
        )


def _password(params: SigningParams) -> bytes | None:
    if params.password_variable is None:
        return None
    value = os.environ.get(params.password_variable)
    if value is None:
        raise PublishError(
            f"publish.signing.password_variable: {params.password_variable} is not set. Nothing was published."
        )
    return value.encode()


def _check(data: bytes, params: SigningParams) -> None:
    """Raise an ArtificerError unless services that require this signer will take the signature."""
    with tempfile.TemporaryDirectory(prefix="artificer-") as folder, _signer(params) as wanted:
        Path(folder, SIGNATURE_FILE).write_bytes(data)
        check_signature(Path(folder), wanted, SIGNATURE_FILE)


@contextmanager
def _signer(params: SigningParams) -> Iterator[SignedBy]:
    """Whose signature it has to be: of a private key, the public key that belongs to it."""
    if params.identity:
        yield SignedBy(identity=params.identity, issuer=params.issuer)
    elif params.certificate:
        with _one_file(params.chain or (params.certificate,)) as trusted:
            yield SignedBy(certificate=trusted)
    else:
        from cryptography.hazmat.primitives import serialization

        private = serialization.load_pem_private_key(Path(params.key or "").read_bytes(), _password(params))
        public = private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        with tempfile.TemporaryDirectory(prefix="artificer-") as folder:
            path = Path(folder, "key.pub")
            path.write_bytes(public)
            yield SignedBy(key=path)


@contextmanager
def _one_file(names: tuple[str, ...]) -> Iterator[Path]:
    """Certificates of several files in one."""
    with tempfile.TemporaryDirectory(prefix="artificer-") as folder:
        path = Path(folder, "trusted.pem")
        path.write_bytes(b"".join(Path(name).read_bytes() for name in names))
        yield path
