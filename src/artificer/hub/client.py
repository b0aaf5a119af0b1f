"""Published repos on the Hugging Face Hub, by huggingface_hub (extra `[hub]`), into this package's own cache.

The cache holds `models/<org>--<name>/<commit>/`, plain files without links, and `refs/<revision>` with the commit that
a branch or tag meant last, for offline starts.
"""

import hashlib
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import IO

from artificer.errors import FetchError, ManifestError, MissingRuntimeError, SignatureError
from artificer.hub.fetch import fetch_files, locked
from artificer.manifest import MANIFEST_FILE, SIGNATURE_FILE, Manifest
from artificer.signing.signed_by import SignedBy
from artificer.signing.signed_files import SignedFiles
from artificer.storage.atomic_write import write_whole

logger = logging.getLogger("artificer")

_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_TIMEOUT = 10.0  # seconds without a byte; by default the client waits for ever
_UNKNOWN_MAJOR = 3  # of huggingface_hub; `make test-compat` runs with the ones before it


def is_repo_id(text: str) -> bool:
    """Whether `text` is like `acme/minilm-l6-artifacts`: one slash, nothing that could climb out of a folder."""
    return bool(_REPO.fullmatch(text)) and ".." not in text and "--" not in text


class _AbsentError(FetchError):
    """The Hub answered that a file is not there."""


def open_repo(
    repo: str,
    *,
    revision: str | None,
    offline: bool | None,
    cache: Path,
    signed_by: SignedBy | None = None,
    records: Path | None = None,
) -> tuple[Path, Callable[[tuple[str, ...]], None], SignedFiles | None]:
    """The cache folder of `repo` at the commit that `revision` (default `main`) means, with its manifest in it; a
    function that fetches further files of the manifest into it; and what `signed_by` signed, where that is required
    (`records`: see `signing.signature_check`).

    Raises:
        FetchError: the Hub cannot be reached and the cache does not hold what is needed.
        SignatureError: the repo is not signed by `signed_by`; or its manifest is not the one that was signed, and was
            neither parsed nor stored.
    """
    closed = is_offline() if offline is None else offline
    base = cache / "models" / repo.replace("/", "--")
    commit = _resolve(repo, revision or "main", closed, base)
    folder = base / commit
    source = HubSource(repo, commit, closed)
    where = f"{repo}@{commit[:8]}"
    signed = _signed(source, folder, where, signed_by, records) if signed_by is not None else None
    if not (folder / MANIFEST_FILE).exists():
        with locked(folder), source.open(MANIFEST_FILE) as stream:
            data = stream.read()
        if signed is not None:
            signed.check_manifest(hashlib.sha256(data).hexdigest())
        Manifest.from_json(data)
        write_whole(folder / MANIFEST_FILE, data)

    def fetch(paths: tuple[str, ...]) -> None:
        data = (folder / MANIFEST_FILE).read_bytes()
        wanted = set(paths)
        entries = [entry for entry in Manifest.from_json(data).published_files() if entry.path in wanted]
        fetch_files(
            source,
            folder,
            entries,
            manifest_sha256=hashlib.sha256(data).hexdigest(),
            verification_cache=cache / "verified",
        )

    return folder, fetch, signed


def _signed(source: "HubSource", folder: Path, where: str, signed_by: SignedBy, records: Path | None) -> SignedFiles:
    """What the signature says, fetched if it is not in the cache."""
    from artificer.signing.signature_check import check_signature, not_signed

    path = folder / SIGNATURE_FILE
    if path.exists():
        try:
            return check_signature(folder, signed_by, where, records=records)
        except SignatureError:
            if source.offline:
                raise
            # The copy may be damaged: it is fetched again, once.
    try:
        with locked(folder), source.open(SIGNATURE_FILE) as stream:
            data = stream.read()
    except _AbsentError:
        raise not_signed(where, signed_by) from None
    write_whole(path, data)
    try:
        return check_signature(folder, signed_by, where, records=records)
    except SignatureError:
        path.unlink(missing_ok=True)
        raise


class HubSource:
    """A Hub repo at a commit, as a `fetch.Source`."""

    def __init__(self, repo: str, commit: str, offline: bool):
        self._repo, self._commit, self.offline = repo, commit, offline

    @contextmanager
    def open(self, path: str) -> Iterator[IO[bytes]]:
        """The bytes of `path`, downloaded to a temporary folder that goes away afterwards."""
        if self.offline:
            raise FetchError(
                f"{self._repo}@{self._commit[:8]}: {path} is not in the cache, and offline=True forbids fetching it."
                " Load the model once online."
            )
        hub = client()
        try:
            folder = tempfile.TemporaryDirectory(prefix="artificer-")
        except OSError as error:
            raise FetchError(
                f"{self._repo}: {path}: temporary files cannot be written ({error.strerror}): set TMPDIR to a"
                " folder that can be written."
            ) from None
        with folder as scratch:
            try:
                local = hub.hf_hub_download(self._repo, path, revision=self._commit, local_dir=scratch)
            except Exception as error:  # the client's errors, its HTTP library's and OSErrors alike
                absent = getattr(getattr(error, "response", None), "status_code", None) == 404
                kind = _AbsentError if absent else FetchError
                raise kind(f"{self._repo}@{self._commit[:8]}: {path}: {_plain(error)}") from None
            with Path(local).open("rb") as stream:
                yield stream


def forget(repo: str, cache: Path) -> None:
    """Delete everything that the cache holds of `repo`."""
    shutil.rmtree(cache / "models" / repo.replace("/", "--"), ignore_errors=True)


def _resolve(repo: str, revision: str, offline: bool, base: Path) -> str:
    if _COMMIT.fullmatch(revision):
        return revision
    if revision.startswith(("/", ".")) or ".." in revision or "\\" in revision or "\0" in revision:
        raise ManifestError(f"revision {revision!r}: expected a commit, a branch, a tag or refs/pr/N.")
    reference = base / "refs" / hashlib.sha256(revision.encode()).hexdigest()[:32]
    if not offline:
        try:
            commit = client().HfApi().repo_info(repo, revision=revision, timeout=_TIMEOUT).sha
            if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
                raise FetchError(f"{repo}: expected a commit from the Hub, found {commit!r}.")
        except (FetchError, MissingRuntimeError):
            raise
        except Exception as error:
            if is_refusal(error) or not reference.exists():
                raise FetchError(f"{repo}@{revision}: {_plain(error)}") from None
            logger.warning(
                "%s@%s: the Hub cannot be reached (%s): using its last known commit",
                repo,
                revision,
                _plain(error),
            )
        else:
            _remember(reference, commit)
            return commit
    try:
        commit = reference.read_text()
    except OSError:
        commit = ""
    if not _COMMIT.fullmatch(commit):
        raise FetchError(
            f"{repo}@{revision}: its commit is not in the cache, and the network is off. Load the model once online."
        )
    return commit


def _remember(reference: Path, commit: str) -> None:
    """Best effort: without a place to write, the next start needs the Hub."""
    try:
        write_whole(reference, commit.encode())
    except OSError as error:
        logger.warning("%s cannot be written: %s", reference, error.strerror)


def is_refusal(error: Exception) -> bool:
    """Whether the Hub refused (401, 403, 404), as opposed to not answering.

    By the answer that the error holds: the client's HTTP library is requests before 1.0, then httpx, since 2.0 httpx2.
    """
    status = getattr(getattr(error, "response", None), "status_code", None)
    return isinstance(status, int) and 400 <= status < 500 and status not in (408, 429)


def _plain(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first[:300]}"


def is_offline() -> bool:
    """Whether `HF_HUB_OFFLINE` is set, read at each call: the client reads it once, at import."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def client() -> ModuleType:
    """huggingface_hub, 0.30 to 2.x. Raises MissingRuntimeError where it is missing, or newer: tokenizers installs the
    newest."""
    try:
        import huggingface_hub
    except ModuleNotFoundError:
        raise MissingRuntimeError(
            "A model on the Hub needs huggingface_hub: pip install 'artificer[hub]'; or load a folder."
        ) from None
    version = str(huggingface_hub.__version__)
    if int(version.partition(".")[0]) >= _UNKNOWN_MAJOR:
        raise MissingRuntimeError(
            f"A model on the Hub needs huggingface_hub before {_UNKNOWN_MAJOR}, and {version} is installed: pip install"
            f" 'huggingface_hub<{_UNKNOWN_MAJOR}' (what the extra [hub] does); or load a folder."
        )
    return huggingface_hub
