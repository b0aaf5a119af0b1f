"""dvc.lock as blocks, hashes as DVC has them, and which models need work."""

import contextlib
from pathlib import Path

import pytest

from stages.core.errors import RegistryError
from stages.fleet import lock_blocks
from stages.fleet.dvc_hashes import Hashes
from stages.fleet.freshness import Inputs, model_stages, stale_stage
from tests.fleet import small
from tests.stages import project

LOCK = project.REPOSITORY / "dvc.lock"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models, built by `dvc repro`."""
    root = small.make(tmp_path_factory.mktemp("locks") / "project", 2)
    assert len(project.repro(root)) == 14
    return root


def stale(root: Path, slug: str = "m0000") -> str | None:
    """The first stage that is not up to date."""
    with contextlib.chdir(root):
        blocks = lock_blocks.of_models(lock_blocks.read_blocks()).get(slug, {})
        return stale_stage(slug, model_stages("pack"), blocks, Inputs.read())


def test_the_lock_is_written_as_it_was_read(tmp_path: Path) -> None:
    """Every byte that DVC wrote stays."""
    blocks = lock_blocks.read_blocks(LOCK)
    lock_blocks.write_blocks(blocks, tmp_path / "dvc.lock")
    assert (tmp_path / "dvc.lock").read_bytes() == LOCK.read_bytes()
    assert lock_blocks.parse_block(blocks["host"])["cmd"] == "python -m stages host"


def test_a_lock_in_another_form_is_read(tmp_path: Path) -> None:
    """Such as that of a merge, or of an editor."""
    path = tmp_path / "dvc.lock"
    path.write_text("stages: {fetch@a: {cmd: one}, report: {cmd: two}}\nschema: '2.0'\n")
    blocks = lock_blocks.read_blocks(path)
    assert blocks == {"fetch@a": "  fetch@a:\n    cmd: one\n", "report": "  report:\n    cmd: two\n"}


def test_a_number_that_dvc_writes_with_an_exponent_is_a_number() -> None:
    """As a threshold of 0.00001 is; in YAML 1.1 it would be text, and the stage would never be up to date."""
    block = "  a@b:\n    params:\n      params.yaml:\n        limits: [1e-05, 2.5e-3, -1E+2, 1e5x]\n"
    assert lock_blocks.parse_block(block)["params"]["params.yaml"]["limits"] == [1e-5, 2.5e-3, -100.0, "1e5x"]


@pytest.mark.parametrize("text", ["stages: [1]\n", "schema: '2.0'\n", "{"])
def test_what_is_no_lock_is_refused(tmp_path: Path, text: str) -> None:
    """One message that names the file."""
    (tmp_path / "dvc.lock").write_text(text)
    with pytest.raises(RegistryError, match=r"dvc\.lock"):
        lock_blocks.read_blocks(tmp_path / "dvc.lock")


def test_a_merge_does_not_depend_on_who_came_first() -> None:
    """Models stand in the registry's order, between what runs first and what runs last."""
    one, two = ({f"fetch@{slug}": f"  fetch@{slug}:\n    cmd: x\n"} for slug in "ab")
    once = {"host": "  host:\n    cmd: h\n", "report": "  report:\n    cmd: r\n"}
    merged = lock_blocks.merged({**once, **two}, one, ["a", "b"])
    assert [*merged] == ["host", "fetch@a", "fetch@b", "report"]
    assert [*lock_blocks.merged({**one, **once}, two, ["a", "b"])] == [*merged]


def test_a_damaged_block_is_not_merged() -> None:
    """The rest of the lock stays what it was."""
    with pytest.raises(RegistryError, match="fetch@a is damaged"):
        lock_blocks.merged({}, {"fetch@a": "  fetch@b:\n    cmd: x\n"}, ["a"])


def test_hashes_are_those_of_dvc(built: Path) -> None:
    """Of files, and of folders with folders in them."""
    (built / "code" / "__pycache__").mkdir(exist_ok=True)
    (built / "code" / "__pycache__" / "x.pyc").write_bytes(b"")
    with contextlib.chdir(built):
        found, compared = Hashes(), 0
        for block in lock_blocks.read_blocks().values():
            lock = lock_blocks.parse_block(block)
            for entry in (*lock.get("deps", ()), *lock.get("outs", ())):
                assert found.of(entry["path"]) == entry["md5"], entry["path"]
                compared += entry["md5"].endswith(".dir")
    assert compared > 10


def test_what_dvc_built_is_up_to_date(built: Path) -> None:
    """Also where its outputs are not here."""
    assert stale(built) is None
    assert stale(built, "m0001") is None


@pytest.mark.parametrize(
    ("path", "text", "stage"),
    [
        ("code/more", "x", "fetch"),
        ("registry/benchmarks/m0000/another.json", "{}", "pack"),
        ("registry/locks/m0000.json", "{}", "fetch"),
    ],
)
def test_a_changed_file_makes_its_stage_stale(built: Path, path: str, text: str, stage: str) -> None:
    """And no other model's, unless it is shared."""
    before = (built / path).read_bytes() if (built / path).exists() else None
    (built / path).write_text(text)
    try:
        assert stale(built) == stage
        assert stale(built, "m0001") == ("fetch" if path.startswith("code") else None)
    finally:
        (built / path).unlink() if before is None else (built / path).write_bytes(before)
    assert stale(built) is None


def test_a_changed_parameter_makes_its_stage_stale(built: Path) -> None:
    """The stages that state it, of all models; an entry's field, those of its model."""
    before = (built / "params.yaml").read_bytes()
    with project.edited(built / "params.yaml") as params:
        params["parity"]["rows"] = 7
    assert stale(built) == "export"
    (built / "params.yaml").write_bytes(before)
    before = (built / "registry/models.yaml").read_bytes()
    with project.edited(built / "registry/models.yaml") as registry:
        registry["models"]["m0000"]["max_length"] = 7
    assert (stale(built), stale(built, "m0001")) == ("fetch", None)
    (built / "registry/models.yaml").write_bytes(before)


def test_a_stage_that_ran_without_the_next_makes_the_next_stale(built: Path) -> None:
    """The lock of `benchmark` names other variants than `optimize` left."""
    with contextlib.chdir(built):
        blocks = lock_blocks.of_models(lock_blocks.read_blocks())["m0000"]
        other = lock_blocks.of_models(lock_blocks.read_blocks())["m0001"]["optimize@m0001"]
        blocks["optimize@m0000"] = other.replace("m0001", "m0000")
        assert stale_stage("m0000", model_stages("pack"), blocks, Inputs.read()) == "optimize"
        md5 = lock_blocks.parse_block(other)["outs"][0]["md5"]
        mine = lock_blocks.parse_block(lock_blocks.read_blocks()["optimize@m0000"])["outs"][0]["md5"]
        blocks["optimize@m0000"] = lock_blocks.read_blocks()["optimize@m0000"].replace(mine, md5)
        assert stale_stage("m0000", model_stages("pack"), blocks, Inputs.read()) == "benchmark"
