"""Whether a folder was signed by whom the caller requires: the first thing that is read of it."""

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from artificer.errors import InputError, MissingRuntimeError, SignatureError
from artificer.manifest import SIGNATURE_FILE
from artificer.signing.remembered import CheckedSignatures
from artificer.signing.signed_by import SignedBy
from artificer.signing.signed_files import SignedFiles, parse

if TYPE_CHECKING:
    from model_signing import verifying

_LIMIT = 16 << 20  # bytes; a real one has some kilobytes
_WRONG_KEY = "Key mismatch"


def check_signature(
    folder: Path, wanted: SignedBy, where: str | None = None, *, records: Path | None = None
) -> SignedFiles:
    """What `model.sig` in `folder` says, after checking that `wanted` signed it. Opens no other file of the folder.

    Args:
        where: what messages call the folder; None for its path.
        records: a folder with what was checked before (`signing.remembered`); None checks in any case.

    Raises:
        SignatureError: it is not signed, somebody else signed it, or the signature is damaged.
        InputError: a file of `wanted` cannot be read.
        MissingRuntimeError: the extra `[signing]` is not installed.
    """
    where = where or str(folder)
    data = _read(folder / SIGNATURE_FILE, where, wanted)
    signed = parse(data, where, str(wanted))
    checked = CheckedSignatures(records)
    if checked.has(data, wanted):
        return signed
    config = _verifier(wanted)
    try:
        from artificer.signing.stated_hashes import StatedHashes

        config.set_hashing_config(StatedHashes(folder.name, signed.files)).verify(folder, folder / SIGNATURE_FILE)
    except Exception as error:  # the package's, cryptography's, OpenSSL's, Sigstore's
        raise SignatureError(
            f"{where}: {SIGNATURE_FILE} is not a valid signature by {wanted}: {_plain(error)}. Nothing else was opened."
        ) from error
    if _read(folder / SIGNATURE_FILE, where, wanted) != data:
        raise SignatureError(f"{where}: {SIGNATURE_FILE} changed while it was checked. Nothing else was opened.")
    if wanted.subject is not None:
        _check_subject(signed, wanted.subject)
    checked.add(data, wanted)
    return signed


def check_signed_folder(folder: Path, wanted: SignedBy, *, records: Path | None = None) -> SignedFiles:
    """`check_signature`, and that the folder holds the signed files and no others, by their names."""
    signed = check_signature(folder, wanted, records=records)
    signed.check_folder(folder)
    return signed


def not_signed(where: str, wanted: SignedBy) -> SignatureError:
    """The error for a folder or repository without a signature."""
    return SignatureError(
        f"{where}: not signed: there is no {SIGNATURE_FILE}, and a signature by {wanted} is required. Nothing was"
        " opened. Sign it when publishing (publish.signing in params.yaml), or do not require a signature."
    )


def _read(path: Path, where: str, wanted: SignedBy) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise not_signed(where, wanted) from None
    except OSError as error:
        raise SignatureError(f"{where}: {SIGNATURE_FILE} cannot be opened: {error.strerror}.") from None
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SignatureError(f"{where}: {SIGNATURE_FILE} is not a regular file.")
        data = stream.read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise SignatureError(f"{where}: {SIGNATURE_FILE} is larger than {_LIMIT} bytes.")
    return data


def _verifier(wanted: SignedBy) -> "verifying.Config":
    try:
        from model_signing import verifying
    except ModuleNotFoundError as error:
        raise MissingRuntimeError(
            f"Checking a signature needs {error.name}: pip install 'artificer[signing]'; or do not require a signature."
        ) from None
    config = verifying.Config()
    try:
        if wanted.key:
            return config.use_elliptic_key_verifier(public_key=wanted.key)
        if wanted.certificate:
            return config.use_certificate_verifier(certificate_chain=[wanted.certificate])
        assert wanted.identity
        assert wanted.issuer
        return config.use_sigstore_verifier(
            identity=wanted.identity,
            oidc_issuer=wanted.issuer,
            trust_config=Path(wanted.trust) if wanted.trust else None,
        )
    except Exception as error:  # of files: OSError, ValueError and more; of Sigstore: what its client raises
        remedy = "" if wanted.trust or not wanted.identity else " Without a network, name its trust configuration."
        raise InputError(f"require_signature: {wanted} cannot be used: {_plain(error)}.{remedy}") from error


def _check_subject(signed: SignedFiles, subject: str) -> None:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    assert signed.certificate is not None  # the certificate's verifier has used it
    names = x509.load_der_x509_certificate(signed.certificate).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    found = [str(name.value) for name in names]
    if found != [subject]:
        raise SignatureError(
            f"{signed.where}: {SIGNATURE_FILE} was made by {', '.join(found) or 'a certificate without a name'},"
            f" expected {subject}. Nothing else was opened."
        )


def _plain(error: Exception) -> str:
    if type(error).__name__ == "InvalidSignature":
        return "what was signed was changed, or another key signed it"
    if _WRONG_KEY in str(error):
        return "another key signed it"
    first = (str(error).strip().splitlines() or [""])[0].rstrip(". ")
    return f"{type(error).__name__}: {first[:300]}"
