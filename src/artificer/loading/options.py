"""What a caller of `artificer.load` asks for, beside the model itself."""

from pathlib import Path

from msgspec import Struct, field

from artificer.backends import BACKENDS
from artificer.errors import InputError, ModelIndexError, SelectionError
from artificer.hub.index import Channel
from artificer.inference.input_checks import EncodingErrors, check_choice
from artificer.inference.loaded_model import OnTruncate
from artificer.loading.integrity import Verify
from artificer.manifest import Device
from artificer.selection.policy import Accuracy, Objective, Policy
from artificer.signing.signed_by import SignedBy

_SHORTEST = 8  # tokens: special ones, and something of both texts


class LoadOptions(Struct, frozen=True, kw_only=True):
    """The keywords of `artificer.load`, which documents them. `cache` is the folder itself, never None."""

    cache: Path
    policy: Policy = field(default_factory=Policy)
    variant: str | None = None
    threads: int | None = None
    max_length: int | None = None
    on_truncate: OnTruncate = "ok"
    verify: Verify = "cached"
    self_test: bool = True
    autotune: bool = False
    prove: bool = False
    warm: bool | None = None
    max_pending: int = 64
    errors: EncodingErrors = "strict"
    revision: str | None = None
    manifest_sha256: str | None = None
    signed_by: SignedBy | None = None
    offline: bool | None = None
    index: str | Path | None = None
    channel: Channel = "stable"

    def check(self) -> None:
        """Refuse what no load could satisfy.

        Raises:
            InputError: an argument is not one of its allowed values, or is too small.
            SelectionError: `threads` is not positive.
        """
        check_choice("objective", self.policy.objective, Objective)
        check_choice("accuracy", self.policy.accuracy, Accuracy)
        check_choice("on_truncate", self.on_truncate, OnTruncate)
        check_choice("errors", self.errors, EncodingErrors)
        check_choice("verify", self.verify, Verify)
        check_choice("channel", self.channel, Channel)
        if self.policy.runtime is not None:
            check_choice("runtime", self.policy.runtime, tuple(BACKENDS))
        if self.policy.device is not None:
            check_choice("device", self.policy.device, Device)
        if self.max_length is not None and self.max_length < _SHORTEST:
            raise InputError(f"max_length: expected at least {_SHORTEST} tokens, found {self.max_length!r}.")
        if self.threads is not None and self.threads < 1:
            raise SelectionError(f"threads: expected at least 1, found {self.threads}.")

    def check_without_revision(self, source: str | Path) -> None:
        """Raise ModelIndexError when the caller names what an index look-up finds out."""
        if self.revision is not None or self.manifest_sha256 is not None:
            raise ModelIndexError(f"{source}: the index says which revision and manifest; do not pass them as well.")
