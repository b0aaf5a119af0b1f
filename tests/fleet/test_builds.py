"""Many models without DVC's graph of all: on this machine, model by model on others, and on a Ray cluster."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stages.core.errors import RegistryError
from stages.fleet import fragments, lock_blocks, workspace
from stages.fleet.model_build import LOCK_COPY
from tests.fleet import small
from tests.stages import project

pytestmark = pytest.mark.toolchain  # no library of it, but dozens of processes
FAILED = 1


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """Three models, the last of which cannot be built, and a remote in a folder."""
    return small.make(tmp_path / "project", 3, broken=("m0002",), remote=tmp_path / "remote")


def of(found: list[str], slug: str) -> list[str]:
    """The stages that ran of one model."""
    return [line.split()[0] for line in found if line.endswith(f" {slug}")]


def test_a_build_on_one_machine(three: Path, tmp_path: Path) -> None:
    """One failing model is one line, the others are built as `dvc repro` builds them, and a second run does nothing."""
    done = small.command(three, "build")
    assert done.returncode == FAILED
    assert done.stderr.count("\n") == 1
    assert "m0002: optimize: failed to run" in done.stderr
    assert "this model is broken" in fragments.load(three / fragments.FOLDER / "m0002.json").log
    ran = small.ran(three)
    assert of(ran, "m0000") == of(ran, "m0001") == [*small.STAGES]
    assert of(ran, "m0002") == ["fetch", "export", "optimize"]
    done = small.command(three, "build", "m0000", "m0001")
    assert (done.returncode, done.stdout) == (0, "0 built, 2 up to date, 0 failed\n")
    assert small.ran(three) == []
    assert not (three / ".dvc/tmp/fleet/workspaces/m0000").exists()

    (tmp_path / "other").mkdir()
    twin = small.make(tmp_path / "other" / "project", 3, broken=("m0002",))
    (twin / "code" / "log-path").write_text((three / "code" / "log-path").read_text())
    assert project.dvc(twin, "repro", "--keep-going").returncode
    assert small.ran(three)
    ours, theirs = (lock_blocks.read_blocks(root / "dvc.lock") for root in (three, twin))
    assert ours
    others = {name for name in theirs if "m0002" in name or name.startswith(("publish", "report"))}
    assert {name: theirs[name] for name in theirs if name not in others} == {
        name: block for name, block in ours.items() if name != "report"
    }
    assert project.repro(three, "pack@m0000", "pack@m0001") == []


def test_a_changed_entry_builds_one_model(three: Path) -> None:
    """And restores what was built before, from DVC's cache."""
    small.command(three, "build", "m0000", "m0001")
    small.ran(three)
    (three / "checkpoints/m0001/text").write_text("another text\n")
    assert small.command(three, "pin", "m0001").returncode != 0  # no checkpoint: these stages do not read one
    (three / "params.yaml").write_text((three / "params.yaml").read_text().replace("rows: 2000", "rows: 7"))
    assert small.command(three, "build", "m0000").returncode == 0
    assert of(small.ran(three), "m0000") == ["export"]
    (three / "params.yaml").write_text((three / "params.yaml").read_text().replace("rows: 7", "rows: 2000"))
    done = small.command(three, "build", "m0000")
    assert done.returncode == 0, done.stderr
    assert of(small.ran(three), "m0000") == []


def test_a_killed_build_goes_on_elsewhere(three: Path, tmp_path: Path) -> None:
    """Finished stages are on the remote with their lock: another machine runs the one that was struck, and the rest."""
    small.slow(three, 1.5)
    arguments = ["build-model", "m0000", "--workspace"]
    process = subprocess.Popen(
        [sys.executable, "-m", "stages", *arguments, str(tmp_path / "first")],
        cwd=three,
        env=project.environment(three),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    log = tmp_path / "ran.txt"
    while not (log.exists() and "optimize" in log.read_text()):
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    shutil.rmtree(tmp_path / "first")
    small.slow(three, 0)
    done = small.command(three, *arguments, str(tmp_path / "second"), "--out", str(tmp_path / "result.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert small.ran(three) == [f"{stage} m0000" for stage in ("fetch", "export", "optimize", *small.STAGES[2:])]
    found = fragments.load(tmp_path / "result.json")
    assert found.ran == small.STAGES
    assert small.command(three, "collect", str(tmp_path / "result.json")).returncode == 0
    assert (three / "registry/benchmarks/m0000/here.json").is_file()
    assert "pack@m0000" in lock_blocks.read_blocks(three / "dvc.lock")


@pytest.mark.parametrize("kept", [0, 0.5])
def test_a_lock_that_was_being_written_when_the_build_was_killed(three: Path, tmp_path: Path, kept: float) -> None:
    """DVC leaves it empty or cut short: finished stages are not run again."""
    place = tmp_path / "workspace"
    arguments = ["build-model", "m0000", "--workspace", str(place)]
    assert small.command(three, *arguments, "--target", "export").returncode == 0
    assert small.ran(three) == ["fetch m0000", "export m0000"]
    lock = place / "dvc.lock"
    lock.write_text(lock.read_text()[: int(kept * len(lock.read_text()))])
    done = small.command(three, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert small.ran(three) == [f"{stage} m0000" for stage in small.STAGES[2:]]


def test_a_build_that_was_killed_before_it_pushed_a_stage_pushes_it(three: Path, tmp_path: Path) -> None:
    """Its lock was written, and the remote has nothing of it: without its outputs another machine could not go on."""
    place, remote, early = tmp_path / "workspace", tmp_path / "remote", tmp_path / "early"
    arguments = ["build-model", "m0000", "--workspace", str(place), "--target"]
    assert small.command(three, *arguments, "fetch").returncode == 0
    shutil.copytree(remote, early)
    copied = (place / LOCK_COPY).read_bytes()
    assert small.command(three, *arguments, "export").returncode == 0
    assert small.ran(three) == ["fetch m0000", "export m0000"]
    wanted = stored(remote)
    assert wanted > stored(early)
    # As it was when the second stage's lock had been written, and before the copy and the push.
    (place / LOCK_COPY).write_bytes(copied)
    shutil.rmtree(remote)
    early.rename(remote)
    done = small.command(three, *arguments, "export")
    assert done.returncode == 0, done.stdout + done.stderr
    assert stored(remote) == wanted
    assert small.ran(three) == []


def stored(remote: Path) -> set[str]:
    """The files of a remote, by the path below it."""
    return {path.relative_to(remote).as_posix() for path in remote.rglob("*") if path.is_file()}


def test_a_workspace_whose_removal_was_cut_short_is_made_anew(three: Path, tmp_path: Path) -> None:
    """Half of its code may be gone: it must not be taken for a whole one."""
    folder = tmp_path / "workspace"
    assert small.command(three, "build-model", "m0000", "--workspace", str(folder), "--target", "fetch").returncode == 0
    digest = (folder / workspace.ORDER).read_text()
    assert workspace.is_ready(folder, digest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda path, **_: (Path(path) / "stages/cli.py").unlink())
        workspace.remove(folder)
    assert not workspace.is_ready(folder, digest)
    assert small.command(three, "build-model", "m0000", "--workspace", str(folder), "--target", "fetch").returncode == 0


def test_a_result_of_another_host_class_leaves_its_records_only(three: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock belongs to one class; figures of the others are taken into registry/."""
    monkeypatch.chdir(three)
    blocks = {"fetch@m0000": "  fetch@m0000:\n    cmd: x\n"}
    own = {"registry/benchmarks/m0000/b.json": "{}", "reports/metrics/m0000.json": "{}"}
    result = fragments.Fragment(slug="m0000", order="", status="built", host="other", blocks=blocks, files=own)
    assert fragments.merge([result], "primary") == 1
    assert Path("registry/benchmarks/m0000/b.json").is_file()
    assert not Path("reports/metrics/m0000.json").exists()
    assert not Path("dvc.lock").exists()
    assert fragments.merge([result]) == 1
    assert Path("dvc.lock").is_file()


@pytest.mark.parametrize("path", ["params.yaml", "registry/benchmarks/m0000/../../../x", "registry/benchmarks/m0001/x"])
def test_a_result_cannot_write_elsewhere(three: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Its files are those of its model."""
    monkeypatch.chdir(three)
    result = fragments.Fragment(slug="m0000", order="", status="built", files={path: "x"})
    with pytest.raises(RegistryError, match="not a file of this model"):
        fragments.merge([result])


def test_a_fleet(three: Path, tmp_path: Path) -> None:
    """On a cluster of this machine: packages, figures and lock arrive, and there is nothing left to do."""
    pytest.importorskip("ray")
    scratch = {"ARTIFICER_FLEET_SCRATCH": str(tmp_path / "scratch")}
    done = small.command(three, "fleet", "--share", "2", "--host-class", "builders", **scratch)
    assert done.returncode == FAILED, done.stdout + done.stderr
    assert "m0002: optimize: failed to run" in done.stderr
    ran = small.ran(three)
    assert of(ran, "m0000") == of(ran, "m0001") == [*small.STAGES]
    assert (three / "artifacts/packages/m0001/manifest.json").is_file()
    assert (three / "registry/benchmarks/m0001/here.json").is_file()
    assert (three / "reports/leaderboard.md").read_text() == "m0000\nm0001\n"
    done = small.command(three, "fleet", "m0000", "m0001", **scratch)
    assert (done.returncode, done.stdout) == (0, "0 built, 2 up to date, 0 failed\n")
    assert project.repro(three, "--pull", "pack@m0000", "pack@m0001") == []
    assert small.ran(three) == []
    shutil.rmtree(three / "artifacts")
    done = small.command(three, "fleet", "m0000", "m0001", "--publish", **scratch)
    assert done.returncode == 0, done.stdout + done.stderr
    assert small.ran(three) == ["publish m0000", "publish m0001"]
    assert (three / "dist/m0001/manifest.json").is_file()
    assert (three / "registry/receipts/m0001.json").is_file()


def test_a_fleet_needs_a_remote(tmp_path: Path) -> None:
    """One message, before anything is started."""
    root = small.make(tmp_path / "project", 1)
    done = small.command(root, "fleet")
    assert done.returncode == 2
    assert "dvc remote add --default" in done.stderr
    assert "Traceback" not in done.stderr
