"""The index of what is published: a publish enters its candidate; `promote` and `rollback` move stable."""

import hashlib
import shutil
from pathlib import Path

import msgspec

from artificer.errors import ArtificerError
from artificer.hub.index import Index, Release
from artificer.manifest import MANIFEST_FILE, SIGNATURE_FILE, FileEntry, Manifest, describe_file
from stages.core import files
from stages.core.copying import copy_file
from stages.core.errors import PublishError
from stages.core.params import IndexParams, load_params
from stages.hub import calls
from stages.hub.repository import open_repo
from stages.publishing.folder_exchange import exchange
from stages.publishing.index_store import open_store
from stages.records.receipts import Receipt

RELEASES = "releases"


def enter(receipt: Receipt) -> None:
    """Set the candidate to what was just published. Does nothing where params.yaml names no index."""
    params = load_params().publish
    if params.index is None:
        return
    if receipt.offered:
        print(f"{receipt.repo} belongs to somebody else and holds no manifest, so it is not added to the index")
        return
    if receipt.commit is None:
        release = _keep(receipt, Path(params.folder, receipt.repo), params.index)
    else:
        release = Release(
            repo=receipt.repo,
            revision=receipt.commit,
            manifest_sha256=receipt.manifest_sha256,
            signature_sha256=receipt.signature_sha256,
        )

    def change(index: Index) -> Index:
        held = index.models[receipt.slug].channels.get("candidate") if receipt.slug in index.models else None
        # A publish that found everything there says the same with a later commit: no news.
        same = held is not None and msgspec.structs.replace(held, revision=release.revision) == release
        return index if same else index.published(receipt.slug, release)

    open_store().update(change, f"candidate of {receipt.slug}: {_name(release)}")


def promote(slug: str) -> None:
    """Move stable to what candidate holds, after comparing every file there with its manifest."""
    store = open_store()
    release = store.read().find(slug, "candidate")
    check(release)

    def change(index: Index) -> Index:
        if index.find(slug, "candidate") != release:
            raise PublishError(f"{slug}: candidate moved while it was checked. Nothing was promoted; run again.")
        return index.promoted(slug)

    store.update(change, f"stable of {slug}: {_name(release)}")
    print(f"{slug}: stable is {_name(release)}")


def rollback(slug: str) -> None:
    """Move stable back to its previous release, after comparing every file there with its manifest."""
    store = open_store()
    index = store.read()
    current, release = index.find(slug, "stable"), index.before_stable(slug)
    check(release)

    def change(index: Index) -> Index:
        held = index.find(slug, "stable")
        if held == release:  # an attempt whose answer was lost
            return index
        if held != current:
            raise PublishError(f"{slug}: stable moved while this was checked. Nothing was rolled back; run again.")
        return index.rolled_back(slug)

    store.update(change, f"stable of {slug}: back to {_name(release)}")
    print(f"{slug}: stable is {_name(release)}")


def check(release: Release) -> None:
    """Compare what lies at a release with the index and its own manifest. Raises PublishError on any difference."""
    publish = load_params().publish
    params = publish.index or IndexParams()
    if publish.signing is not None and release.signature_sha256 is None:
        raise PublishError(
            f"{_name(release)} is not signed, and publish.signing in params.yaml says who signs. Publish it again."
        )
    if release.revision is None:
        folder = Path(params.folder or ".", release.repo)
        try:
            data = (folder / MANIFEST_FILE).read_bytes()
            wrong = [e.path for e in _manifest(data, release).published_files() if _describe(folder, e.path) != e]
            signature = folder / SIGNATURE_FILE
            if release.signature_sha256 not in (None, _sha256(signature.read_bytes() if signature.exists() else b"")):
                wrong.append(SIGNATURE_FILE)
        except OSError as error:
            raise PublishError(f"{folder}: {error.strerror} ({error.filename}). Publish it again.") from None
    else:
        with calls.hub_errors(release.repo, release.revision, PublishError):
            wrong = _wrong_on_hub(release, release.revision)
    if wrong:
        raise PublishError(f"{_name(release)}: {', '.join(wrong[:5])} differs from the manifest. Publish it again.")


def _wrong_on_hub(release: Release, commit: str) -> list[str]:
    from huggingface_hub import get_token

    repo = open_repo(release.repo, get_token())
    entries = _manifest(repo.read(MANIFEST_FILE, commit), release).published_files()
    held = repo.state(commit, {}, {entry.path: entry for entry in entries}).files
    is_signed = SIGNATURE_FILE in held
    if release.signature_sha256 not in (None, _sha256(repo.read(SIGNATURE_FILE, commit) if is_signed else b"")):
        return [SIGNATURE_FILE]
    return [
        entry.path
        for entry in entries
        if entry.path not in held or (held[entry.path].size, held[entry.path].sha256) != (entry.size, entry.sha256)
    ]


def _manifest(data: bytes, release: Release) -> Manifest:
    found = _sha256(data)
    if found != release.manifest_sha256:
        raise PublishError(
            f"{_name(release)}: the index says manifest sha256 {release.manifest_sha256}, found {found}. "
            "Publish it again."
        )
    try:
        return Manifest.from_json(data)
    except ArtificerError as error:
        raise PublishError(f"{_name(release)}: {error}") from None


def _keep(receipt: Receipt, published: Path, params: IndexParams) -> Release:
    """A copy of a published folder that later publishes leave alone, so that channels can differ."""
    if params.folder is None:
        raise PublishError(
            "publish.index.repo is for Hub repos, but publish.target is folder: set publish.index to {folder: …}."
        )
    place = f"{RELEASES}/{receipt.repo}/{receipt.manifest_sha256[:16]}"
    target = Path(params.folder, place)
    release = Release(
        repo=place,
        revision=None,
        manifest_sha256=receipt.manifest_sha256,
        signature_sha256=receipt.signature_sha256,
    )
    if not (target / MANIFEST_FILE).is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with exchange(target) as folder:
            shutil.copytree(
                published, folder, dirs_exist_ok=True, copy_function=lambda a, b: copy_file(Path(a), Path(b))
            )
    elif receipt.signature_sha256 is not None:  # it was published without one before, or with another
        files.write_file(target / SIGNATURE_FILE, (published / SIGNATURE_FILE).read_bytes())
    return release


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _describe(folder: Path, path: str) -> FileEntry | None:
    return describe_file(folder, path) if (folder / path).is_file() else None


def _name(release: Release) -> str:
    return f"{release.repo}@{(release.revision or release.manifest_sha256)[:12]}"
