"""Where checkpoints come from: a local folder, or a repo of the Hugging Face Hub at a commit."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from artificer.manifest import FileEntry, describe_file
from stages import checkpoint
from stages.errors import SourceError
from stages.registry import Lock, SourceEntry


def pin(source: SourceEntry, folder: Path) -> Lock:
    """Resolve `source` as it is now, put its needed files into `folder`, and return their lock."""
    if source.path:
        root = _local_folder(source.path)
        names = checkpoint.needed_files(p.name for p in root.iterdir() if p.is_file())
        revision = None
        _copy(root, names, folder)
    else:
        assert source.repo, source  # the registry allows one of the two
        with hub_errors(source.repo, source.revision):
            from huggingface_hub import HfApi

            info = HfApi().model_info(source.repo, revision=source.revision)
        revision = str(info.sha)
        names = checkpoint.needed_files(file.rfilename for file in info.siblings or [])
        _download(source.repo, revision, names, folder)
    return Lock(
        location=source.location,
        revision=revision,
        files=tuple(describe_file(folder, name) for name in names),
    )


def fetch(lock: Lock, folder: Path) -> None:
    """Put the locked files into `folder` and compare every byte with the lock. Raises SourceError on any difference."""
    names = tuple(entry.path for entry in lock.files)
    if lock.revision:
        _download(lock.location, lock.revision, names, folder)
    else:
        root = _local_folder(lock.location)
        missing = [name for name in names if not (root / name).is_file()]
        if missing:
            raise SourceError(f"{root}: {', '.join(missing)} of the lock missing.")
        _copy(root, names, folder)
    differing = [
        f"  {entry.path}: locked {_short(entry)}, found {_short(found)}"
        for entry in lock.files
        if (found := describe_file(folder, entry.path)) != entry
    ]
    if differing:
        raise SourceError(
            f"{lock.location} is not what was pinned:\n" + "\n".join(differing) + "\nIf the change is wanted, "
            "`python -m stages pin <slug>` pins the files as they are now; else restore them."
        )


def _local_folder(path: str) -> Path:
    root = Path(path)
    if not root.is_dir():
        raise SourceError(f"{root}: no such folder. Expected a checkpoint saved with save_pretrained.")
    return root


def _copy(root: Path, names: tuple[str, ...], folder: Path) -> None:
    for name in names:
        shutil.copyfile(root / name, folder / name)


def _download(repo: str, revision: str, names: tuple[str, ...], folder: Path) -> None:
    from huggingface_hub import hf_hub_download

    for name in names:
        with hub_errors(repo, revision):
            cached = hf_hub_download(repo, name, revision=revision)
        shutil.copyfile(cached, folder / name)


@contextmanager
def hub_errors(repo: str, revision: str | None) -> Iterator[None]:
    """The client's errors as ours, each with what to do."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError:
        raise SourceError(
            f"{repo} is gated: accept its terms on the Hub, then set HF_TOKEN to a token of yours."
        ) from None
    except errors.RepositoryNotFoundError:
        raise SourceError(
            f"{repo}: no such repo on the Hub, or it is private: check the name, or set HF_TOKEN."
        ) from None
    except errors.RevisionNotFoundError:
        raise SourceError(f"{repo} has no revision {revision!r}: it was moved or deleted. Pin another.") from None
    except errors.EntryNotFoundError as error:
        raise SourceError(f"{repo} at {revision}: {str(error).splitlines()[0]}") from None
    except errors.LocalEntryNotFoundError:
        raise SourceError(f"{repo} at {revision} is not in the local cache, and the Hub cannot be reached.") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no answer"
        raise SourceError(f"{repo} at {revision}: the Hub answered {status}. Try again later.") from None
    except OSError as error:
        raise SourceError(f"{repo} at {revision}: the Hub cannot be reached: {error}.") from None


def _short(entry: FileEntry) -> str:
    return f"{entry.size} bytes, sha256 {entry.sha256[:12]}…"
