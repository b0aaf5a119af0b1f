"""Publishing to a folder: only what passed, byte for byte, whole or not at all, over kills and full disks."""

import contextlib
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from artificer.manifest import Manifest, describe_file
from stages.cli import main
from tests.stages import project
from tests.stages.conftest import Stages
from tests.stages.fabricated import SLUG, Fabricated
from tests.stages.kill import kill_at
from tests.stages.project import read_json, snapshot

PUBLISH_ERROR = 7
TARGET = Path("dist/artificer", SLUG)
SOURCE_FILES = {"config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"}
DOCUMENTS = {"README.md", "speed-quality.png", "proof-set.json.gz"}
FIRST = Fabricated(statuses={"onnx-O2": ("failed", "no fusion")}, figures={"onnx-O4": {"score_max_abs": 0.9}})
SECOND = Fabricated(statuses={"onnx-O2": ("failed", "no fusion"), "onnx-O3": ("failed", "no fusion either")})


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> dict[str, Path]:
    """Two packed projects of one model: in the first O2 and O4 did not pass, in the second O2 and O3."""
    found = {}
    for name, build in (("first", FIRST), ("second", SECOND)):
        found[name] = tmp_path_factory.mktemp("builds") / name
        found[name].mkdir()
        project.make_registry(found[name])
        with contextlib.chdir(found[name]), mock.patch.dict(os.environ):
            build.write(found[name], tiny)
            assert main(["pack", SLUG]) == 0
    return found


@pytest.fixture
def packed(tmp_path: Path, builds: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the first, as the working directory."""
    shutil.copytree(builds["first"], tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def published(packed: Path, stages: Stages) -> dict[str, bytes]:
    """The same, published; the folder's content."""
    assert stages("publish", SLUG)[0] == 0
    return snapshot(packed / TARGET)


@pytest.fixture
def build_again(packed: Path, builds: dict[str, Path]) -> Callable[[], None]:
    """Put the second build into the place of the first."""

    def replace() -> None:
        shutil.rmtree(packed / "artifacts")
        shutil.copytree(builds["second"] / "artifacts", packed / "artifacts")

    return replace


def assert_nothing_beside(root: Path) -> None:
    """No temporary or set-aside folder may be left beside the published one."""
    assert [path.name for path in (root / TARGET).parent.iterdir()] == [SLUG]


def test_the_folder_holds_what_passed_and_nothing_else(packed: Path, published: dict[str, bytes]) -> None:
    """Passed variants, the pristine tokenizer and config, the card, the plot and the manifest."""
    graphs = {name for name in published if "/" in name}
    assert graphs == {
        "onnx/model.onnx",
        "onnx/model_O1.onnx",
        "onnx/model_O3.onnx",
        "onnx/model_qint8_arm64.onnx",
        "onnx/model_quint8_avx2.onnx",
        "onnx/model_qint8_avx512.onnx",
        "onnx/model_qint8_avx512_vnni.onnx",
        "onnx/model_qint8_static.onnx",
        "openvino/openvino_model.bin",
        "openvino/openvino_model.xml",
        "openvino/openvino_model_qint8_quantized.bin",
        "openvino/openvino_model_qint8_quantized.xml",
    }
    assert set(published) == graphs | SOURCE_FILES | DOCUMENTS | {"manifest.json"}
    assert not any("safetensors" in name or "variant.json" in name for name in published)
    assert_nothing_beside(packed)


def test_tokenizer_and_config_are_the_sources_bytes(packed: Path, published: dict[str, bytes]) -> None:
    """Nothing that a library writes on the way gets into them."""
    for name in SOURCE_FILES:
        assert published[name] == (packed / "checkpoints" / SLUG / name).read_bytes(), name


def test_every_file_is_what_the_manifest_says(packed: Path, published: dict[str, bytes]) -> None:
    """Sizes and hashes of all files but the manifest are in the manifest."""
    manifest = Manifest.from_json(published["manifest.json"])
    listed = {entry.path: entry for entry in manifest.published_files()}
    assert set(listed) == set(published) - {"manifest.json"}
    for name, entry in listed.items():
        assert describe_file(packed / TARGET, name) == entry


def test_the_receipt_says_what_went_where(packed: Path, published: dict[str, bytes]) -> None:
    """Repo, manifest and sizes, for the history in git."""
    assert read_json(packed / "registry/receipts" / f"{SLUG}.json") == {
        "slug": SLUG,
        "target": "folder",
        "repo": f"artificer/{SLUG}",
        "manifest_sha256": describe_file(packed / TARGET, "manifest.json").sha256,
        "files": len(published),
        "bytes": sum(map(len, published.values())),
    }


def test_an_entry_may_name_another_repo(packed: Path, stages: Stages) -> None:
    """`publish.repo` decides the folder below the target."""
    with project.edited(packed / "registry/models.yaml") as registry:
        registry["models"][SLUG]["publish"] = {"repo": "acme/rerank"}
    assert stages("pack", SLUG)[0] == 0
    assert stages("publish", SLUG)[0] == 0
    assert (packed / "dist/acme/rerank/manifest.json").is_file()
    assert not (packed / TARGET).exists()


def test_publishing_again_touches_nothing(packed: Path, published: dict[str, bytes], stages: Stages) -> None:
    """The second run says so, writes no file and the same receipt."""
    receipt = packed / "registry/receipts" / f"{SLUG}.json"
    before = receipt.read_bytes()
    inodes = {path: path.stat().st_ino for path in (packed / TARGET).rglob("*")}
    code, out, _ = stages("publish", SLUG)
    assert (code, out) == (0, f"{TARGET} holds this manifest and its files already\n")
    assert {path: path.stat().st_ino for path in (packed / TARGET).rglob("*")} == inodes
    assert receipt.read_bytes() == before
    assert snapshot(packed / TARGET) == published


def test_a_newer_build_takes_the_older_ones_place(
    packed: Path, published: dict[str, bytes], build_again: Callable[[], None], stages: Stages
) -> None:
    """Files of variants that no longer pass are gone, the new ones are there, nothing is left beside."""
    build_again()
    assert stages("publish", SLUG)[0] == 0
    now = snapshot(packed / TARGET)
    assert set(published) - set(now) == {"onnx/model_O3.onnx"}
    assert set(now) - set(published) == {"onnx/model_O4.onnx"}
    assert_nothing_beside(packed)


@pytest.mark.parametrize("damage", ["changed", "removed"])
def test_a_damaged_folder_is_repaired(packed: Path, published: dict[str, bytes], stages: Stages, damage: str) -> None:
    """A file that is gone or changed by hand is put right by the next run."""
    path = packed / TARGET / "onnx/model.onnx"
    path.unlink() if damage == "removed" else path.write_bytes(b"other")
    assert stages("publish", SLUG)[0] == 0
    assert snapshot(packed / TARGET) == published


@pytest.mark.parametrize("name", ["notes.txt", "onnx/model_mine.onnx", ".git/HEAD"])
def test_files_of_others_are_never_deleted(
    packed: Path, published: dict[str, bytes], build_again: Callable[[], None], stages: Stages, name: str
) -> None:
    """A folder that holds what no manifest of ours lists is left as it is; `--overwrite` is the user's word."""
    path = packed / TARGET / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    build_again()
    code, _, err = stages("publish", SLUG)
    message = f"{TARGET} holds files that no Artificer manifest lists ({name}). Move them, then run again."
    assert (code, err) == (PUBLISH_ERROR, f"error: {message}\n")
    assert snapshot(packed / TARGET) == {**published, name: b"mine"}
    assert_nothing_beside(packed)
    assert stages("publish", SLUG, "--overwrite")[0] == 0
    assert not path.exists()


def test_a_folder_that_is_not_ours_is_refused(packed: Path, stages: Stages) -> None:
    """Without a manifest, everything there is somebody else's."""
    (packed / TARGET).mkdir(parents=True)
    (packed / TARGET / "thesis.tex").write_text("years of work")
    code, _, err = stages("publish", SLUG)
    assert code == PUBLISH_ERROR
    assert "no Artificer manifest lists (thesis.tex)" in err
    assert snapshot(packed / TARGET) == {"thesis.tex": b"years of work"}
    assert not (packed / "registry/receipts" / f"{SLUG}.json").exists()


def test_a_file_in_the_folders_place_is_refused(packed: Path, stages: Stages) -> None:
    """A target that is a file costs a message, not the file."""
    (packed / TARGET).parent.mkdir(parents=True)
    (packed / TARGET).write_text("a file")
    code, _, err = stages("publish", SLUG)
    assert code == PUBLISH_ERROR, err
    assert (packed / TARGET).read_text() == "a file"


def test_a_dry_run_writes_nothing(packed: Path, stages: Stages) -> None:
    """It says what would be written."""
    code, out, _ = stages("publish", SLUG, "--dry-run")
    assert code == 0
    assert out.startswith(f"{TARGET}: would write 20 files, ")
    assert not (packed / "dist").exists()
    assert not (packed / "registry/receipts" / f"{SLUG}.json").exists()


def test_artifacts_that_changed_since_they_were_packed_are_refused(packed: Path, stages: Stages) -> None:
    """The manifest's hashes are compared with what is copied, so that nothing unproven is published."""
    path = packed / "artifacts/models" / SLUG / "variants/optimize/onnx-O1/model_O1.onnx"
    path.write_bytes(path.read_bytes() + b"!")
    code, _, err = stages("publish", SLUG)
    assert code == PUBLISH_ERROR
    assert err.startswith(
        f"error: artifacts/models/{SLUG}/variants/optimize/onnx-O1/model_O1.onnx: the manifest says 17 bytes"
    )
    assert err.endswith("Nothing was published; run `dvc repro`.\n")
    assert not (packed / TARGET).exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("after", [0, 1, 12, 18])
def test_a_full_disk_leaves_what_was_published(
    packed: Path,
    published: dict[str, bytes],
    build_again: Callable[[], None],
    stages: Stages,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    after: int,
) -> None:
    """Wherever the disk is full, the old folder stays whole, nothing is left beside it, and the message says so."""
    build_again()
    receipt = (packed / "registry/receipts" / f"{SLUG}.json").read_bytes()
    copied = 0
    copyfile = shutil.copyfile

    def full(source: Any, target: Any, **options: Any) -> Any:
        nonlocal copied
        copied += 1
        if copied <= after:
            return copyfile(source, target, **options)
        Path(target).write_bytes(b"half")
        raise OSError(number, "No space left on device", str(target))

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", full)
        code, _, err = stages("publish", SLUG)
    assert code == PUBLISH_ERROR
    assert err.startswith(f"error: {TARGET}: the disk is full: ")
    assert err.endswith(" MB are free. What was published before is untouched.\n")
    assert snapshot(packed / TARGET) == published
    assert (packed / "registry/receipts" / f"{SLUG}.json").read_bytes() == receipt
    assert_nothing_beside(packed)
    assert stages("publish", SLUG)[0] == 0
    assert set(published) - set(snapshot(packed / TARGET)) == {"onnx/model_O3.onnx"}


def test_a_real_full_disk(packed: Path, published: dict[str, bytes], build_again: Callable[[], None]) -> None:
    """A process that may write no more bytes is told by the system in the middle of a file; the old folder stays."""
    build_again()
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); "
        f"from stages.cli import main; sys.exit(main(['publish', {SLUG!r}]))"
    )
    environment = {**project.environment(packed), "PYTHONPATH": str(project.REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=packed, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == PUBLISH_ERROR, done.stderr
    assert done.stderr.startswith(f"error: {TARGET}: File too large")
    assert "Traceback" not in done.stderr
    assert snapshot(packed / TARGET) == published
    assert_nothing_beside(packed)


@pytest.mark.parametrize(
    ("event", "needle"),
    [("open", "onnx/model_O1.onnx"), ("open", "manifest.json"), ("os.rename", ".partial")],
)
@pytest.mark.parametrize("before", ["nothing", "published"])
def test_a_kill_in_the_middle_leaves_the_old_or_the_new_whole(
    packed: Path, build_again: Callable[[], None], stages: Stages, event: str, needle: str, before: str
) -> None:
    """kill -9 at any step: readers see the old folder or the new one, and the rerun ends in the same bytes."""
    old: dict[str, bytes] = {}
    if before == "published":
        assert stages("publish", SLUG)[0] == 0
        old = snapshot(packed / TARGET)
        build_again()
    kill_at(packed, event, f"dist/artificer/.{SLUG}.new*{needle}" if event == "open" else needle, "publish", SLUG)
    after_kill = snapshot(packed / TARGET) if (packed / TARGET).exists() else {}
    killed_at_receipt = event == "os.rename"
    assert (after_kill == old) != killed_at_receipt
    assert stages("publish", SLUG)[0] == 0
    now = snapshot(packed / TARGET)
    assert Manifest.from_json(now["manifest.json"]).slug == SLUG
    if killed_at_receipt:
        assert now == after_kill
    assert_nothing_beside(packed)
    receipt = read_json(packed / "registry/receipts" / f"{SLUG}.json")
    assert receipt["manifest_sha256"] == describe_file(packed / TARGET, "manifest.json").sha256


def test_publishing_what_was_never_packed_is_one_message(root: Path, stages: Stages) -> None:
    """It says which command packs."""
    entry = {"source": {"path": "m"}, "task": "text-ranking", "license": "mit"}
    project.write_yaml(root / "registry" / "models.yaml", {"models": {SLUG: entry}})
    assert stages("publish", SLUG)[::2] == (
        PUBLISH_ERROR,
        f"error: artifacts/packages/{SLUG}: nothing is packed. Run `dvc repro pack@{SLUG}`.\n",
    )
    assert not (root / "dist").exists()
