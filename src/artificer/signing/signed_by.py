"""Who must have signed a published folder."""

import os
from pathlib import Path

from msgspec import Struct

from artificer.errors import InputError

SIGNATURE_VARIABLE = "ARTIFICER_REQUIRE_SIGNATURE"
SIGNER_FORMS = "key=FILE, certificate=FILE[,subject=NAME] or identity=NAME,issuer=URL[,trust=FILE]"


class SignedBy(Struct, frozen=True, kw_only=True):
    """The signer to require: one of `key`, `certificate` and `identity`.

    Args:
        key: the file of a public key (PEM; elliptic curve P-256, P-384 or P-521).
        certificate: a file with the certificates to trust (PEM): roots, or the signing certificate itself.
        subject: the common name that the signing certificate must have. Without it, any certificate will do that one of
            `certificate` issued for signing.
        identity: of a keyless signature (Sigstore): an e-mail address, or the address of a workflow.
        issuer: who vouched for the identity, such as https://token.actions.githubusercontent.com.
        trust: a file with Sigstore's trust configuration (JSON); None asks Sigstore's public instance for it.

    Raises:
        InputError: these do not name one signer.
    """

    key: str | Path | None = None
    certificate: str | Path | None = None
    subject: str | None = None
    identity: str | None = None
    issuer: str | None = None
    trust: str | Path | None = None

    def __post_init__(self) -> None:
        named = [name for name in ("key", "certificate", "identity") if getattr(self, name)]
        if len(named) != 1:
            found = " and ".join(named) or "none"
            raise InputError(f"require_signature: expected one of key, certificate and identity, found {found}.")
        if bool(self.identity) != bool(self.issuer):
            raise InputError("require_signature: identity and issuer are given together.")
        if self.subject and not self.certificate:
            raise InputError("require_signature: subject belongs to certificate.")
        if self.trust and not self.identity:
            raise InputError("require_signature: trust belongs to identity.")

    @classmethod
    def from_text(cls, text: str) -> "SignedBy":
        """`key=acme.pub`, and so on: the fields and their values, with commas between them."""
        found: dict[str, str] = {}
        known = set(cls.__struct_fields__)
        for part in text.split(","):
            name, equals, value = part.partition("=")
            name, value = name.strip(), value.strip()
            if not (equals and value) or name not in known or name in found:
                raise InputError(f"require_signature: expected {SIGNER_FORMS}, found {text!r}.")
            found[name] = value
        return cls(**found)

    def __str__(self) -> str:
        if self.key:
            return f"the key {self.key}"
        if self.certificate:
            return f"{self.subject or 'a certificate'}, trusted by {self.certificate}"
        return f"{self.identity} ({self.issuer})"


def wanted_signer(given: SignedBy | str | None) -> SignedBy | None:
    """What the caller requires; where that is nothing, what `ARTIFICER_REQUIRE_SIGNATURE` does. Raises InputError."""
    if given is None:
        given = os.environ.get(SIGNATURE_VARIABLE) or None
    return SignedBy.from_text(given) if isinstance(given, str) else given
