"""Where checkpoints come from: a local folder, or a repo of the Hugging Face Hub at a commit.

Downloads go through the client's own cache: a cut one is resumed, and what is there needs no network.
"""

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from artificer.manifest import FileEntry, describe_file, unsafe_path_reason
from stages.core.copying import copy_file
from stages.core.errors import SourceError
from stages.hub.calls import call, hub_errors, settings, use_timeout
from stages.registry import checkpoint
from stages.registry.model_list import Lock, SourceEntry


def pin(source: SourceEntry, folder: Path) -> Lock:
    """Resolve `source` as it is now, put its needed files into `folder`, and return their lock."""
    if source.path:
        root = _local_folder(source.path)
        found = (p.relative_to(root).as_posix() for p in (*root.iterdir(), *root.glob("*/*")) if p.is_file())
        names = checkpoint.needed_files(filter(checkpoint.may_be_needed, found))
        revision = None
        _copy(root, names, folder)
    else:
        assert source.repo, source  # the registry allows one of the two
        info = _info(source)
        revision = str(info.sha)
        listed = {file.rfilename: file for file in info.siblings or []}
        # A name that is unsafe never reaches the disk.
        safe = (name for name in listed if unsafe_path_reason(name) is None)
        names = checkpoint.needed_files(filter(checkpoint.may_be_needed, safe))
        for name in names:
            if not _download(source.repo, revision, name, folder, partial(_is_listed, listed=listed[name])):
                raise SourceError(
                    f"{source.repo} at {revision}: {name} was downloaded twice, and differs from what the Hub lists. "
                    "Nothing was pinned. Run again later; if this persists, tell the repo's owner."
                )
    return Lock(
        location=source.location,
        revision=revision,
        files=tuple(describe_file(folder, name) for name in names),
    )


def resolve(source: SourceEntry) -> str:
    """The commit that a Hub source's branch or tag means now. Raises SourceError."""
    return str(_info(source).sha)


def fetch(lock: Lock, folder: Path) -> None:
    """Put the locked files into `folder` and compare every byte with the lock. Raises SourceError on any difference."""
    checked: set[str] = set()  # hashed as they were downloaded
    if lock.revision:
        for entry in lock.files:
            if _download(lock.location, lock.revision, entry.path, folder, partial(_is_entry, entry=entry)):
                checked.add(entry.path)
    else:
        root = _local_folder(lock.location)
        missing = [entry.path for entry in lock.files if not (root / entry.path).is_file()]
        if missing:
            raise SourceError(f"{root}: files of the lock are missing: {', '.join(missing)}.")
        _copy(root, tuple(entry.path for entry in lock.files), folder)
    differing = [
        f"  {entry.path}: locked {_short(entry)}, found {_short(found)}"
        for entry in lock.files
        if entry.path not in checked and (found := describe_file(folder, entry.path)) != entry
    ]
    if differing:
        raise SourceError(f"{lock.location} is not what was pinned:\n" + "\n".join(differing) + "\n" + _remedy(lock))


def _local_folder(path: str) -> Path:
    root = Path(path)
    if not root.is_dir():
        raise SourceError(f"{root}: the folder does not exist. Expected a checkpoint saved with save_pretrained.")
    return root


def _copy(root: Path, names: tuple[str, ...], folder: Path) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy_file(root / name, folder / name)


def _info(source: SourceEntry) -> Any:
    """What the Hub says about the source now, with the size and hash of every file."""
    repo = source.repo or ""
    with hub_errors(repo, source.revision):
        from huggingface_hub import HfApi

        use_timeout(settings().timeout_seconds)
        info = call(HfApi().model_info, repo, revision=source.revision, files_metadata=True)
    if info.id != repo:
        raise SourceError(f"{repo} was renamed to {info.id} on the Hub: write that as `source.repo`, then pin it.")
    return info


def _download(repo: str, revision: str, name: str, folder: Path, is_right: Callable[[Path], bool]) -> bool:
    """`name` into `folder`, from the cache where it is there; whether it is right, after a second try if need be."""
    from huggingface_hub import constants, hf_hub_download

    use_timeout(settings().timeout_seconds)
    with hub_errors(repo, revision):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy_file(Path(call(hf_hub_download, repo, name, revision=revision)), folder / name)
        right = is_right(folder / name)
        if not right and not constants.HF_HUB_OFFLINE:
            again = call(hf_hub_download, repo, name, revision=revision, force_download=True)
            copy_file(Path(again), folder / name)
            right = is_right(folder / name)
    return right


def _remedy(lock: Lock) -> str:
    again = "If the change is wanted, `python -m stages pin <slug>` pins the files as they are now"
    if lock.revision:
        return f"A commit never changes: the copy is damaged, or the repo was tampered with. {again}."
    return f"{again}; otherwise restore them."


def _is_listed(path: Path, listed: Any) -> bool:
    """Whether the bytes are those that the Hub lists: by sha256 for a large file, else by git's id."""
    if listed.lfs is not None:
        return _is_entry(path, FileEntry(path=path.name, size=listed.lfs.size, sha256=listed.lfs.sha256))
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() == str(listed.blob_id)


def _is_entry(path: Path, entry: FileEntry) -> bool:
    if path.stat().st_size != entry.size:
        return False
    return describe_file(path.parent, path.name).sha256 == entry.sha256


def _short(entry: FileEntry) -> str:
    return f"{entry.size} bytes, sha256 {entry.sha256[:12]}…"
