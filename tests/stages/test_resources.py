"""What a stage takes is recorded; what it would take is known before it starts; how memory and disk are given back."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import namedtuple
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artificer.host.memory import cgroup_room
from stages import pipeline
from stages.building.ahead import Ahead
from stages.core import child_process, copying, paths
from stages.core.capacity import SKIP_VARIABLE, available_memory
from stages.core.child_process import ChildKilledError, in_child
from stages.core.errors import ResourceError
from stages.records.model_spec import load_spec, write_spec
from stages.running import memory_sampler, orphans, preflight, resources
from tests.stages import project
from tests.stages.conftest import Stages
from tests.stages.project import SLUG, read_json

Memory = namedtuple("Memory", "available")
Disk = namedtuple("Disk", "free")


@pytest.fixture
def fetched(root: Path, tiny: Path, stages: Stages) -> Path:
    """A project whose tiny model is fetched."""
    shutil.copytree(tiny, root / "checkpoints" / SLUG)
    entry = {"source": {"path": f"checkpoints/{SLUG}"}, "task": "text-ranking", "license": "mit"}
    project.write_yaml(root / "registry" / "models.yaml", {"models": {SLUG: entry}})
    project.pin(root, SLUG)
    assert stages("fetch", SLUG)[0] == 0
    return root


def enlarge(parameters: int) -> None:
    """Make the model look that large."""
    write_spec(msgspec.structs.replace(load_spec(SLUG), parameters=parameters))


def test_a_stage_records_its_seconds_and_the_peak_of_its_processes(fetched: Path) -> None:
    """The figures are those of this very run, and count what children hold."""
    found = read_json(fetched / paths.resources(SLUG, "fetch"))
    assert set(found) == {"peak_memory_mb", "seconds"}
    assert found["peak_memory_mb"] > 10
    code = "import time; block = bytearray(200_000_000); block[::4096] = b'x' * len(block[::4096]); time.sleep(3)"
    with resources.recorded(SLUG, "data"):
        subprocess.run([sys.executable, "-c", code], check=True)
    after = read_json(fetched / paths.resources(SLUG, "data"))
    assert after["seconds"] >= 3
    assert after["peak_memory_mb"] > psutil.Process().memory_info().rss / 1e6 + 150


@pytest.mark.usefixtures("fetched")
def test_a_stage_that_fails_records_nothing() -> None:
    """A figure of half a stage would be compared with those of whole ones."""
    with pytest.raises(ZeroDivisionError), resources.recorded(SLUG, "data"):
        _ = 1 / 0
    assert not paths.resources(SLUG, "data").exists()


def test_the_sampler_ends_with_who_started_it() -> None:
    """A killed stage leaves no process behind."""
    command = [sys.executable, "-P", memory_sampler.__file__, str(os.getpid())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert int(out) >= 0


@pytest.mark.usefixtures("fetched")
@pytest.mark.parametrize("stage", ["optimize", "parity"])
def test_too_little_memory_is_said_before_a_stage_starts(
    stages: Stages, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """One line with the figure needed, the figure there, and what to do; nothing is built."""
    enlarge(568_000_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory(3e9))
    code, out, err = stages(stage, SLUG)
    assert (code, out) == (ResourceError.exit_code, "")
    assert f"error: {stage} of {SLUG} needs about " in err
    assert "(568 M parameters); 3.0 GB are available (the machine's free memory)." in err
    assert SKIP_VARIABLE in err
    assert not paths.resources(SLUG, stage).exists()


@pytest.mark.usefixtures("fetched")
def test_too_little_disk_is_said_before_a_stage_starts(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for memory; the hint frees DVC's cache."""
    enlarge(568_000_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory(1e12))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(4e9))
    code, _, err = stages("optimize", SLUG)
    assert code == ResourceError.exit_code
    assert "of disk at artifacts/models/tiny; 4.0 GB are free" in err
    assert "dvc gc" in err


@pytest.mark.usefixtures("fetched")
def test_optional_variants_need_disk_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for the static int8 variant is too little once an entry adds half precision and int8 weights."""
    enlarge(568_000_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory(1e12))
    monkeypatch.setattr(preflight, "shares_blocks", lambda _: True)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(3e9))
    preflight.check(SLUG, pipeline.stage("quantize_openvino"))
    found = load_spec(SLUG)
    write_spec(msgspec.structs.replace(found, variants=(*found.variants, "openvino-fp16", "openvino-int8-weights")))
    with pytest.raises(ResourceError, match=r"needs about 4.8 GB of disk"):
        preflight.check(SLUG, pipeline.stage("quantize_openvino"))


@pytest.mark.usefixtures("fetched")
def test_a_small_model_and_a_switch_are_never_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo builds wherever the toolchain runs, and an estimate that is wrong can be passed over."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory(1.0))
    preflight.check(SLUG, pipeline.stage("optimize"))
    enlarge(568_000_000)
    with pytest.raises(ResourceError):
        preflight.check(SLUG, pipeline.stage("optimize"))
    monkeypatch.setenv(SKIP_VARIABLE, "1")
    preflight.check(SLUG, pipeline.stage("optimize"))


@pytest.mark.usefixtures("fetched")
@pytest.mark.parametrize(
    ("cores", "memory", "disk", "expected"),
    [(9, 1e12, 1e12, 4), (1, 1e12, 1e12, 1), (4, 25e9, 1e12, 3), (4, 1e12, 26e9, 2), (4, 1.0, 1.0, 1)],
)
def test_as_many_variants_are_built_side_by_side_as_the_machine_has_room_for(
    monkeypatch: pytest.MonkeyPatch, cores: int, memory: float, disk: float, expected: int
) -> None:
    """All of them, and one for each core at most; fewer where memory or disk would not hold them; one in any case."""
    enlarge(568_000_000)
    monkeypatch.setattr(preflight, "thread_count", lambda: (cores, "the machine"))
    monkeypatch.setattr(preflight, "available_memory", lambda: (memory, "the machine"))
    monkeypatch.setattr(preflight, "shares_blocks", lambda _: False)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(disk))
    assert preflight.at_once(SLUG, pipeline.stage("optimize")) == expected


def test_every_stage_that_holds_a_model_has_a_stated_need() -> None:
    """A new stage of the toolchain cannot be forgotten."""
    light = {"data", "evaluate", "pack"}
    assert {row.name for row in pipeline.STAGES if row.measured and row.need is None} == light


def test_a_cgroups_limit_counts_when_it_is_tighter(tmp_path: Path) -> None:
    """In a container the machine's free memory means nothing; files that are cached do not count as used."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/a/b\n")
    folder = tmp_path / "sys/fs/cgroup/a"
    folder.mkdir(parents=True)
    (folder / "memory.max").write_text("1000000\n")
    (folder / "memory.current").write_text("900000\n")
    (folder / "memory.stat").write_text("anon 300000\nfile 600000\n")
    assert available_memory(tmp_path) == (700000, "cgroup limit")
    (folder / "memory.max").write_text("max\n")
    assert available_memory(tmp_path)[1] == "the machine's free memory"


@given(limit=st.text(max_size=8), current=st.text(max_size=8), stat=st.text(max_size=20))
def test_no_text_of_a_cgroup_breaks_the_estimate(limit: str, current: str, stat: str) -> None:
    """Whatever a kernel writes there, the answer is a number, and never below nothing."""
    assert cgroup_room(limit, current, stat) >= 0


RUNS_A_STAGE = """
import os, subprocess, sys
os.environ["DVC_STAGE"] = sys.argv[1]
watch = "from stages.running import orphans; orphans.end_with_dvc()"
code = f"import os, time; {watch}; print(os.getpid(), flush=True); time.sleep(60)"
shell = ["/bin/sh", "-c", '"$0" -c "$1"; exit $?', sys.executable, code]
subprocess.run(shell)
"""


@pytest.mark.parametrize("by_dvc", [True, False])
def test_a_stage_ends_when_dvc_is_killed_and_outlives_any_other_parent(by_dvc: bool) -> None:
    """A shell may stand between `dvc repro` and the stage; who runs a stage by hand may close the terminal."""
    command = [sys.executable, "-c", RUNS_A_STAGE, "fetch@demo" if by_dvc else ""]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(project.REPOSITORY), *sys.path))}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        stage = psutil.Process(int(parent.stdout.readline()))
        with pytest.raises(psutil.TimeoutExpired):
            stage.wait(timeout=5 * orphans.SECONDS)  # it lives while its parent does
        parent.kill()
        try:
            if by_dvc:
                stage.wait(timeout=20)
            else:
                with pytest.raises(psutil.TimeoutExpired):
                    stage.wait(timeout=5 * orphans.SECONDS)
        finally:
            with suppress(psutil.NoSuchProcess):
                stage.kill()


def test_processes_that_cannot_be_looked_at_cost_no_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some systems hide them; a look that fails once is no end, and one that vanished is."""

    def denied(*_: object) -> None:
        raise psutil.AccessDenied

    def vanished(*_: object) -> None:
        raise psutil.NoSuchProcess(1)

    monkeypatch.setenv(orphans.SET_BY_DVC, "fetch@demo")
    threads = threading.active_count()
    monkeypatch.setattr(psutil.Process, "parent", denied)
    orphans.end_with_dvc()
    assert threading.active_count() == threads
    monkeypatch.setattr(psutil.Process, "status", denied)
    assert not orphans._is_gone(psutil.Process())
    monkeypatch.setattr(psutil.Process, "status", vanished)
    assert orphans._is_gone(psutil.Process())


def large_result(size: int) -> Any:
    """For a child process."""
    return os.getpid(), np.ones(size).sum()


def killed() -> None:
    """As the kernel does it to who takes too much."""
    os.kill(os.getpid(), signal.SIGKILL)


def refused() -> None:
    """A library's refusal."""
    raise NotImplementedError("this architecture is not supported")


def test_a_large_model_is_handled_in_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its memory goes with it; a small one spares the import."""
    (tmp_path / "model.onnx").write_bytes(bytes(2000))
    assert in_child(large_result, 10, weights=tmp_path / "model.onnx") == (os.getpid(), 10)
    monkeypatch.setattr(child_process, "SMALL_BYTES", 1000)
    pid, total = in_child(large_result, 10, weights=tmp_path / "model.onnx")
    assert (pid != os.getpid(), total) == (True, 10)
    assert not multiprocessing.active_children()


def grandchild(size: int) -> Any:
    """For a child process that asks another one."""
    return os.getpid(), in_child(large_result, size, weights=None)


def test_a_child_has_children_of_its_own() -> None:
    """A large model is measured in a process of its own, and there asked once more in another."""
    child, (pid, total) = in_child(grandchild, 10, weights=None)
    assert len({os.getpid(), child, pid}) == 3
    assert total == 10


def test_calls_that_begin_ahead_are_made_again_alone_if_they_were_killed() -> None:
    """And are made only then where nothing may run beside another."""
    with Ahead(2) as ahead:
        ahead.begin("sum", large_result, 10)
        ahead.begin("killed", killed)
        ahead.begin("refused", refused)
        pid, total = ahead.result("sum", lambda: (0, 0))
        assert (pid != os.getpid(), total) == (True, 10)
        assert ahead.result("killed", lambda: "alone") == "alone"
        assert ahead.result("never begun", lambda: "alone") == "alone"
        with pytest.raises(NotImplementedError):
            ahead.result("refused", lambda: "alone")
    with Ahead(1) as ahead:
        ahead.begin("sum", large_result, 10)
        assert ahead.result("sum", lambda: "alone") == "alone"


def has_imported(module: str) -> bool:
    """Whether this process imported a module before this was called."""
    return module in sys.modules


def test_children_are_forked_from_a_process_that_has_imported_for_them() -> None:
    """In a process of its own, since a process can do this once."""
    code = (
        "from stages.core import child_process as c; from tests.stages.test_resources import has_imported as h; "
        "c.import_for_children(['colorsys']); print(c.in_child(h, 'colorsys', weights=None), h('colorsys'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(sys.platform == "linux"), "False"]


_kept: list[Any] = []


def with_a_semaphore() -> None:
    """As a library's progress bar has one, until its process ends."""
    _kept.append(multiprocessing.get_context("spawn").RLock())


@pytest.mark.parametrize("modules", ["", "c.import_for_children(['colorsys']); "])
def test_a_child_ends_in_order_so_that_python_warns_of_nothing(modules: str) -> None:
    """A child that is killed as soon as it has answered leaves its semaphores, and Python says so on standard error."""
    code = (
        "from stages.core import child_process as c; from tests.stages.test_resources import with_a_semaphore as w; "
        f"{modules}c.in_child(w, weights=None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_what_becomes_of_a_child_is_told_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill is told with its signal, and an error stays the error it is."""
    monkeypatch.setenv(child_process.ALWAYS, "1")
    (tmp_path / "w").touch()
    with pytest.raises(ChildKilledError, match="signal 9, probably for lack of memory"):
        in_child(killed, weights=tmp_path / "w")
    with pytest.raises(NotImplementedError, match="this architecture is not supported"):
        in_child(refused, weights=tmp_path / "w")


@pytest.mark.parametrize("shares", [True, False])
def test_a_copy_is_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shares: bool) -> None:
    """With shared blocks or without, the bytes are the same, it is no link, and changing it changes nothing else."""
    if not shares:
        monkeypatch.setattr(copying, "_clone", lambda *_: False)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(10_000))
    before = source.read_bytes()
    copying.copy_file(source, target)
    assert target.read_bytes() == before
    assert not target.is_symlink()
    assert target.stat().st_nlink == 1
    target.write_bytes(b"changed")
    assert source.read_bytes() == before
    assert copying.shares_blocks(tmp_path) in ({True, False} if shares else {False})
