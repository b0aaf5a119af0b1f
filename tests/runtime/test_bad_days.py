"""A service on a bad day: no home, nowhere to write, no /sys, texts that were decoded wrongly, links of DVC."""

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from artificer import FetchError, InputError, IntegrityError, Reranker, host, load
from artificer.errors import ClosedError
from artificer.hub.fetch import FolderSource, fetch_files
from artificer.loading.opening import open_first
from artificer.manifest import MANIFEST_FILE, Manifest
from artificer.storage import cache_folder as caches
from tests.runtime.conftest import Copy

PAIRS = [("how deep is the lake", f"It is {depth} metres deep.") for depth in range(100)]
BROKEN = 41
UNSHARE = ("unshare", "--mount", "--map-root-user")


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A process of a user whom the machine does not know; the folder for temporary files."""

    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("HOME", "USERPROFILE", "ARTIFICER_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", unknown)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    caches._temporary.cache_clear()
    return tmp_path


def test_a_cache_that_is_named_needs_no_home(homeless: Path) -> None:
    """What the variables name is used, home or not."""
    named = str(homeless / "caches")
    assert caches.cache_folder({"XDG_CACHE_HOME": named}, "linux") == Path(named) / "artificer"
    assert caches.cache_folder({"LOCALAPPDATA": named}, "win32") == Path(named) / "artificer" / "cache"
    assert caches.cache_folder({"ARTIFICER_CACHE": named}, "linux") == Path(named)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="folders have no owner here")
def test_without_a_home_the_cache_is_private(homeless: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody else may write to it; one that somebody else could write to is not used, and named in a warning."""
    folder = caches.cache_folder({}, "linux")
    assert folder == homeless / f"artificer-{os.getuid()}"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o777)
    caches._temporary.cache_clear()
    other = caches.cache_folder({}, "linux")
    assert other != folder
    assert f"{folder} can be written by others: the cache is in {other}" in caplog.text
    assert stat.S_IMODE(other.stat().st_mode) == 0o700


def test_a_folder_loads_without_a_home(homeless: Path, published: Path) -> None:
    """Nothing of the load needs one."""
    with load(published, variant="onnx") as reranker:
        assert reranker.predict(PAIRS[:1]).shape == (1,)
    assert list(homeless.rglob("*.json"))


def test_a_folder_loads_where_nothing_can_be_written(
    homeless: Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache is best effort: a file in the place of the folder for temporary files stands for a read-only disk."""
    (homeless / "file").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(homeless / "file"))
    for variant in ("onnx", "openvino"):
        with load(published, variant=variant, autotune=True) as reranker:
            assert reranker.predict(PAIRS[:1]).shape == (1,)


def test_a_filled_cache_may_be_read_only(copied: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there is used without a lock; what is missing is an error that says what to do."""
    folder = copied("onnx")
    entries = Manifest.from_json((folder / MANIFEST_FILE).read_bytes()).published_files()
    source, target = FolderSource(folder), tmp_path / "target"
    assert fetch_files(source, target, entries, manifest_sha256="0" * 64, verification_cache=None)
    monkeypatch.setattr("artificer.hub.fetch.is_writable", lambda _: False)
    (target / ".lock").unlink()
    (target / ".lock").mkdir()
    assert fetch_files(source, target, entries, manifest_sha256="0" * 64, verification_cache=None) == []
    (target / entries[0].path).unlink()
    with pytest.raises(FetchError, match=r"cannot be written: .*\. Name a folder that can, by ARTIFICER_CACHE"):
        fetch_files(source, target, entries, manifest_sha256="0" * 64, verification_cache=None)


def test_a_machine_that_shows_nothing_of_itself_is_described(tmp_path: Path) -> None:
    """Without /proc and /sys, what the process itself knows has to do."""
    found = host.detect(tmp_path, {})
    assert found.cores >= 1
    assert found.isa_class == host.detect().isa_class
    assert host.thread_count({}, tmp_path)[0] >= 1


@pytest.mark.skipif(shutil.which("unshare") is None, reason="a mount namespace needs Linux")
@pytest.mark.parametrize("hidden", [("/sys",), ("/proc",), ("/sys", "/proc")], ids=" ".join)
def test_a_folder_loads_without_proc_and_sys(published: Path, tmp_path: Path, hidden: tuple[str, ...]) -> None:
    """In a mount namespace in which they are empty; OpenVINO needs one of them, and is skipped with the reason."""
    code = f"""
import artificer
for runtime in ("onnx", "openvino"):
    try:
        with artificer.load({str(published)!r}, variant=runtime) as reranker:
            print(len(reranker.predict({PAIRS[:3]!r})))
    except artificer.MissingRuntimeError as error:
        print(error)
"""
    mounts = "".join(f"mount -t tmpfs none {place} && " for place in hidden)
    command = [*UNSHARE, "sh", "-c", f'{mounts}exec "$@"', "sh", sys.executable, "-c", code]
    environment = {**os.environ, "ARTIFICER_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode != 0 and re.search("unshare|mount:", done.stderr):
        pytest.skip("this machine allows no mount namespace")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == "3"
    assert second == "3" if len(hidden) == 1 else "OpenVINO cannot see the CPUs" in second


def broken_pairs() -> list[tuple[str, str]]:
    """A hundred pairs, one with half of an emoji."""
    pairs = list(PAIRS)
    pairs[BROKEN] = (pairs[BROKEN][0], "half \ud83d an emoji")
    return pairs


def test_one_lone_surrogate_costs_no_other_text(reranker: Reranker) -> None:
    """With `replace` all are scored, the one as if it had U+FFFD; without, the call is refused."""
    pairs = broken_pairs()
    with pytest.raises(InputError, match=rf"^Pair {BROKEN}, passage: lone surrogate .*errors='replace'"):
        reranker.predict(pairs)
    found = reranker.predict(pairs, errors="replace")
    pairs[BROKEN] = (pairs[BROKEN][0], "half \ufffd an emoji")
    np.testing.assert_array_equal(found, reranker.predict(pairs))


def test_rank_replaces_in_query_documents_and_prompt(reranker: Reranker) -> None:
    """Two surrogates that belong together are one character; the document comes back as it was given."""
    documents = ["half \ud83d", "whole \ud83d\ude00", "plain"]
    with pytest.raises(InputError, match=r"^Document 0: lone surrogate"):
        reranker.rank("query", documents)
    found = reranker.rank("\ude00 query", documents, errors="replace", prompt="\ud800: ", return_documents=True)
    expected = reranker.rank("\ufffd query", ["half \ufffd", "whole \U0001f600", "plain"], prompt="\ufffd: ")
    assert [(row["corpus_id"], row["score"]) for row in found] == [(row["corpus_id"], row["score"]) for row in expected]
    assert {row["text"] for row in found} == set(documents)


def test_errors_can_be_chosen_at_load(published: Path) -> None:
    """Calls of adapters and frameworks pass no argument of ours; a call can still ask for the other."""
    with load(published, variant="onnx", errors="replace") as reranker:
        assert len(reranker.predict(broken_pairs())) == len(PAIRS)
        assert reranker.truncated(broken_pairs()).sum() == 0
        with pytest.raises(InputError, match=r"lone surrogate"):
            reranker.predict(broken_pairs(), errors="strict")
        with pytest.raises(InputError, match=r"^errors: expected one of 'strict', 'replace', found 'ignore'"):
            reranker.predict(PAIRS[:1], errors="ignore")
    with pytest.raises(InputError, match=r"^errors: expected one of"):
        load(published, errors=cast(Any, "ignore"))


def test_links_into_a_cache_of_dvc_name_its_setting(copied: Copy, tmp_path: Path) -> None:
    """`cache.type symlink` makes every file a link, which no folder may hold."""
    folder = copied("onnx")
    kept = tmp_path / "cache/files/md5/ab" / ("c" * 30)
    kept.parent.mkdir(parents=True)
    (folder / "onnx/model.onnx").rename(kept)
    (folder / "onnx/model.onnx").symlink_to(kept)
    with pytest.raises(IntegrityError, match=r"is a link; .* `dvc config cache\.type reflink,copy`"):
        load(folder)


@pytest.mark.parametrize("step", ["artificer.loading.loader.explain", "artificer.tasks.text_ranking.Reranker.warm"])
def test_a_load_that_fails_after_opening_closes_the_session(
    published: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The runtime's memory is given back, whatever failed."""
    opened = []

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no")

    def remember(*arguments: Any) -> Any:
        opened.append(open_first(*arguments))
        return opened[-1]

    monkeypatch.setattr("artificer.loading.loader.open_first", remember)
    monkeypatch.setattr(step, fail)
    with pytest.raises(RuntimeError, match="no"):
        load(published, variant="onnx", warm=True)
    with pytest.raises(ClosedError):
        opened[0][0].session.run({})
