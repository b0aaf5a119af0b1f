"""Every error that the runtime raises on purpose. A service catches `ArtificerError`, or a kind it can act on."""


class ArtificerError(Exception):
    """The root of the runtime's errors; the message says what happened, why, and what to do next."""


class ManifestError(ArtificerError):
    """A manifest is malformed, or contradicts itself; the message names the key path."""


class ManifestVersionError(ManifestError):
    """A manifest has a schema version that this release cannot read."""


class IntegrityError(ArtificerError):
    """A file is missing, differs from the manifest, or is outside its folder. Never a reason to fall back."""


class SignatureError(IntegrityError):
    """What was asked for is not signed, not by whom the caller requires, or not as it was signed."""


class SelectionError(ArtificerError):
    """No variant is admissible on this machine, or the requested one is not; the message lists each reason."""


class MissingRuntimeError(ArtificerError):
    """The chosen variant needs a package that is not installed; the message names the pip command."""


class SelfTestError(ArtificerError):
    """On this machine, a graph computes in another precision than was asked for, or does not reproduce the manifest's
    golden scores."""


class InputError(ArtificerError, ValueError):
    """The caller's pairs or arguments cannot be scored: a None, a non-string, a lone surrogate, an unknown option."""


class ScoreError(ArtificerError):
    """A model returned NaN or an unexpected shape: refused, since a wrong score is worse than none."""


class DeadlineError(ArtificerError, TimeoutError):
    """The caller's timeout passed, or the caller cancelled: scoring stopped between two batches."""


class OverloadedError(ArtificerError):
    """The bounded queue of the asynchronous calls is full: send fewer calls or retry later."""


class ClosedError(ArtificerError):
    """The model was closed, or belongs to the process that this one was forked from."""


class FetchError(ArtificerError):
    """A published file could not be fetched; the message names it, and whether trying again may help."""


class ModelIndexError(ArtificerError):
    """The index of published models is missing or malformed, or lists no such model in that channel."""
