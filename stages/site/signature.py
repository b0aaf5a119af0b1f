"""Who signs what is published, as params.yaml says, and the commands that check it."""

import shlex
from pathlib import PurePath

from stages.core.params import PublishParams, SigningParams
from stages.site.view import SignatureView


def signature_view(params: PublishParams, name: str) -> SignatureView | None:
    """For the model that is published as `name`; None where nobody signs. Paths of this machine are left out."""
    if params.signing is None:
        return None
    required = _required(params.signing)
    fetch: tuple[str, ...] = ()
    if params.target == "folder":
        folder = f"{params.folder}/{name}"
    else:
        folder = name.rpartition("/")[2]
        fetch = (shlex.join(["hf", "download", name, "--local-dir", folder]),)
    check = shlex.join(["artificer", "verify", folder, "--signature", required])
    return SignatureView(signer=_signer(params.signing), commands=(*fetch, check))


def _signer(signing: SigningParams) -> str:
    if signing.identity:
        return f"{signing.identity}, certified by {signing.issuer}"
    if signing.certificate:
        return f"the certificate {PurePath(signing.certificate).name}"
    return f"the key {_public(signing)}"


def _required(signing: SigningParams) -> str:
    """What a service states, in the form of `--signature`."""
    if signing.identity:
        return f"identity={signing.identity},issuer={signing.issuer}"
    if signing.certificate:
        return f"certificate={PurePath((signing.certificate, *signing.chain)[-1]).name}"
    return f"key={_public(signing)}"


def _public(signing: SigningParams) -> str:
    """The public half, by the name that docs/signing.md gives it."""
    return PurePath(signing.key or "").with_suffix(".pub").name
