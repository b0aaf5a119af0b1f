import hashlib
import io
import multiprocessing
import os
import random
import signal
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

import pytest

from artificer.errors import FetchError, IntegrityError
from artificer.hub.client import is_repo_id
from artificer.hub.fetch import FolderSource, fetch_files, locked
from artificer.manifest import FileEntry

CONTENTS = {f"onnx/{i}.bin": bytes([i]) * (1000 * i + 1) for i in range(6)}


def entries(contents: dict[str, bytes]) -> list[FileEntry]:
    """The manifest's lines for these files."""
    return [FileEntry(path=p, size=len(b), sha256=hashlib.sha256(b).hexdigest()) for p, b in contents.items()]


class Fake:
    """A source in memory that counts, and can give other bytes, slowly."""

    def __init__(self, contents: dict[str, bytes], delay: float = 0):
        self.contents, self.delay, self.opened = dict(contents), delay, list[str]()

    def open(self, path: str) -> AbstractContextManager[IO[bytes]]:
        """The bytes."""
        self.opened.append(path)
        time.sleep(self.delay)
        return io.BytesIO(self.contents[path])


def fetch(source: Any, root: Path, contents: dict[str, bytes] = CONTENTS) -> list[str]:
    """All of `contents`, without verification_cache."""
    return fetch_files(source, root, entries(contents), manifest_sha256="", verification_cache=None)


def is_whole_or_absent(root: Path) -> bool:
    """The promise about every moment: each file is right, or not there."""
    return all(not (root / path).exists() or (root / path).read_bytes() == data for path, data in CONTENTS.items())


def test_files_are_fetched_once(tmp_path: Path) -> None:
    """The second call fetches nothing, and no scratch is left."""
    source = Fake(CONTENTS)
    assert fetch(source, tmp_path) == list(CONTENTS)
    assert fetch(source, tmp_path) == []
    assert all((tmp_path / path).read_bytes() == data for path, data in CONTENTS.items())
    assert {path.name for path in tmp_path.iterdir()} == {"onnx", ".lock"}


@pytest.mark.parametrize("damage", ["flip", "cut", "link", "folder"])
def test_a_bad_cached_file_is_fetched_again(tmp_path: Path, damage: str) -> None:
    """Whatever stands in its place is replaced, and nothing outside is touched."""
    source = Fake(CONTENTS)
    fetch(source, tmp_path / "cache")
    bad, outside = tmp_path / "cache/onnx/3.bin", tmp_path / "outside"
    outside.write_bytes(b"mine")
    data = bad.read_bytes()
    bad.unlink()
    if damage == "flip":
        bad.write_bytes(b"\x00" + data[1:])
    elif damage == "cut":
        bad.write_bytes(data[:-1])
    elif damage == "link":
        bad.symlink_to(outside)
    else:
        bad.mkdir()
    assert fetch(source, tmp_path / "cache") == ["onnx/3.bin"]
    assert bad.read_bytes() == data
    assert outside.read_bytes() == b"mine"


@pytest.mark.parametrize("wrong", [b"short", b"\x07" * 3001, b"x" * 9999])
def test_a_source_with_other_bytes_is_an_error_that_names_the_file(tmp_path: Path, wrong: bytes) -> None:
    """It is asked once; what it gave is deleted."""
    source = Fake({**CONTENTS, "onnx/3.bin": wrong})
    with pytest.raises(IntegrityError, match=r"onnx/3\.bin: the source has"):
        fetch(source, tmp_path)
    assert source.opened.count("onnx/3.bin") == 1
    assert not (tmp_path / "onnx/3.bin").exists()
    assert not list((tmp_path / ".incoming").iterdir())


def test_a_path_that_climbs_is_never_written(tmp_path: Path) -> None:
    """Not even when the entry was made past the manifest's validation."""
    with pytest.raises(IntegrityError, match="refused"):
        fetch(Fake({"../x": b"1"}), tmp_path / "cache", {"../x": b"1"})
    assert not (tmp_path / "x").exists()


def test_a_folder_is_a_source(tmp_path: Path) -> None:
    """A shared drive, for instance; a missing file there is a FetchError."""
    fetch(Fake(CONTENTS), tmp_path / "one")
    assert fetch(FolderSource(tmp_path / "one"), tmp_path / "two") == list(CONTENTS)
    with pytest.raises(FetchError, match="cannot be read"):
        fetch(FolderSource(tmp_path / "nowhere"), tmp_path / "three")


def _slow_fetch(root: Path, done: Any) -> None:
    fetch(Fake(CONTENTS, 0.004), root)
    done.put(1)


def test_two_processes_take_turns(tmp_path: Path) -> None:
    """Both end well, and the files are right."""
    context = multiprocessing.get_context("spawn")
    done = context.SimpleQueue()
    children = [context.Process(target=_slow_fetch, args=(tmp_path, done)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert is_whole_or_absent(tmp_path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_a_kill_at_any_moment_leaves_a_right_cache(tmp_path: Path) -> None:
    """Eight kills at random moments (benchmarks/kills.py: 50): always whole or absent, and the next fetch completes."""
    moments = random.Random(7)
    for turn in range(8):
        root = tmp_path / str(turn)
        child = os.fork()
        if child == 0:
            try:
                fetch(Fake(CONTENTS, 0.003), root)
            finally:
                os._exit(0)
        time.sleep(moments.uniform(0.001, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert is_whole_or_absent(root)
        fetch(Fake(CONTENTS), root)
        assert all((root / path).read_bytes() == data for path, data in CONTENTS.items())
        assert {path.name for path in root.iterdir()} == {"onnx", ".lock"}


def test_the_lock_is_free_after_its_holder(tmp_path: Path) -> None:
    """It can be taken again at once."""
    for _ in range(2):
        with locked(tmp_path):
            assert (tmp_path / ".lock").exists()


@pytest.mark.parametrize(
    ("text", "good"),
    [("acme/minilm", True), ("a/b/c", False), ("../x", False), ("acme", False), ("a--b/c", False), ("a/..", False)],
)
def test_a_repo_id_cannot_climb(text: str, good: bool) -> None:
    """One slash, plain characters."""
    assert is_repo_id(text) is good


class Away:
    """A source that cannot be reached."""

    def open(self, path: str) -> AbstractContextManager[IO[bytes]]:
        """Nothing."""
        raise FetchError(f"{path}: the network is off.")


@pytest.mark.parametrize("read_only", [False, True])
def test_a_wrong_file_that_cannot_be_fetched_again_is_no_missing_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_only: bool
) -> None:
    """Damage is an IntegrityError, for which nobody falls back, also where another file is missing."""
    fetch(Fake(CONTENTS), tmp_path)
    if read_only:
        monkeypatch.setattr("artificer.hub.fetch.is_writable", lambda _: False)
        (tmp_path / ".lock").unlink()
        (tmp_path / ".lock").mkdir()
    (tmp_path / "onnx/1.bin").unlink()
    with pytest.raises(FetchError, match="cannot be written" if read_only else "the network is off"):
        fetch(Away(), tmp_path)
    (tmp_path / "onnx/3.bin").write_bytes(b"damaged")
    with pytest.raises(IntegrityError, match=r"(?s)onnx/3\.bin: expected 3001 bytes.*could not be fetched again"):
        fetch(Away(), tmp_path)
