"""What is sent to DVC's remote, what another clone restores from it, and what a killed DVC leaves behind."""

import fcntl
import subprocess
from pathlib import Path

import pytest

from stages.running import dvc_lock_file
from tests.stages import project
from tests.stages.project import dvc, repro, stage

PIPELINE = """
stages:
  first:
    cmd: mkdir -p out && cp text out/first && echo 1 >> ran
    deps: [text]
    outs: [out/first]
  second:
    cmd: cp out/first second && echo 2 >> ran
    deps: [out/first, code]
    outs: [second]
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A project with a pipeline of two stages that has run, and a remote in a folder."""
    root = tmp_path / "clone"
    make(root, tmp_path / "remote")
    assert repro(root) == ["first", "second"]
    return root


def make(root: Path, remote: Path) -> None:
    """The pipeline in a folder of its own, as another clone has it."""
    project.make_registry(root)
    (root / "code").mkdir()
    (root / "code" / "module.py").write_text("")
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / ".dvcignore").write_text((project.REPOSITORY / ".dvcignore").read_text())
    (root / "text").write_text("a text\n")
    for name in ("stages", "src"):
        (root / name).symlink_to(project.REPOSITORY / name)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    for command in (["init", "-q"], ["remote", "add", "-q", "-d", "r", str(remote)]):
        assert dvc(root, *command).returncode == 0


def pushed(root: Path) -> str:
    """What `push` prints."""
    done = stage(root, "push")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


def test_an_entry_of_the_run_cache_is_sent_once(clone: Path) -> None:
    """The second push has nothing to copy."""
    assert pushed(clone).endswith(" and 2 entries of the run-cache")
    assert pushed(clone) == "pushed 0 objects and 0 entries of the run-cache"


def test_what_is_no_longer_in_the_lock_is_sent_as_well(clone: Path, tmp_path: Path) -> None:
    """A build whose input changed back and forth: another clone restores both."""
    (clone / "text").write_text("another text\n")
    assert repro(clone) == ["first", "second"]
    pushed(clone)
    make(tmp_path / "other", tmp_path / "remote")
    assert repro(tmp_path / "other", "--pull") == []
    assert (tmp_path / "other" / "second").read_text() == "a text\n"
    assert not (tmp_path / "other" / "ran").exists()


def test_a_push_without_a_remote_says_so(clone: Path) -> None:
    """One message, and how to name a remote."""
    assert dvc(clone, "remote", "remove", "r").returncode == 0
    done = stage(clone, "push")
    assert done.returncode == 2
    assert "dvc remote add --default" in done.stderr
    assert "Traceback" not in done.stderr


def test_bytecode_below_a_dependency_changes_nothing(clone: Path) -> None:
    """Importing a folder writes into it."""
    (clone / "code" / "__pycache__").mkdir()
    (clone / "code" / "__pycache__" / "module.cpython-311.pyc").write_bytes(b"bytecode")
    assert repro(clone) == []


@pytest.mark.parametrize("left", ["", '{"write": {"/a'])
def test_a_damaged_lock_file_of_a_killed_dvc_is_removed(clone: Path, left: str) -> None:
    """DVC refuses it; the next command of ours removes it, and DVC works again."""
    (clone / dvc_lock_file.FILE).write_text(left)
    assert "Unable to read RWLock-file" in dvc(clone, "repro").stderr
    done = stage(clone, "list")
    assert f"removed {dvc_lock_file.FILE}" in done.stderr
    assert repro(clone) == []


@pytest.mark.usefixtures("root")
def test_a_lock_file_that_is_being_written_stays(capsys: pytest.CaptureFixture[str]) -> None:
    """Half a file whose writer holds the guard is not damaged."""
    dvc_lock_file.FILE.parent.mkdir(parents=True)
    dvc_lock_file.FILE.write_text("{")
    with dvc_lock_file.GUARD.open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        dvc_lock_file.remove_damaged()
    assert dvc_lock_file.FILE.read_text() == "{"
    dvc_lock_file.remove_damaged()
    assert not dvc_lock_file.FILE.exists()
    assert capsys.readouterr().err
