"""Stage `report` over all models, without DVC's graph of all models: in a workspace with the stages that run once."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from stages.core import files, paths
from stages.core.errors import BuildError
from stages.core.yaml_files import read_yaml
from stages.fleet import workspace
from stages.fleet.freshness import PIPELINE
from stages.fleet.lock_blocks import DVC_LOCK, merged, read_blocks, write_blocks
from stages.fleet.workspace import Order

FOLDER = Path(".dvc/tmp/fleet/report")
REPORT = "report"


def host_block() -> dict[str, str]:
    """The lock of stage `host`, as DVC writes it, from host.json."""
    from stages.fleet.dvc_hashes import Hashes

    if "host" not in read_yaml(PIPELINE)["stages"]:
        return {}
    path = paths.HOST.as_posix()
    lines = ["  host:", "    cmd: python -m stages host", "    outs:", f"    - path: {path}", "      hash: md5"]
    lines += [f"      md5: {Hashes().of(path)}", f"      size: {paths.HOST.stat().st_size}"]
    return {"host": "\n".join(lines) + "\n"}


def write_report(archive: bytes) -> None:
    """Run the stage, unless it is up to date or there is no package, and take its outputs and its lock. Raises
    BuildError when it fails."""
    stages = read_yaml(PIPELINE)["stages"]
    if REPORT not in stages or not paths.PACKAGES.is_dir():
        return
    workspace.remove(FOLDER)
    order = Order(slug="all", entry={}, blocks={}, files={})
    cache = Path(".dvc/cache")
    config = workspace.dvc_config(cache, with_remote=False)
    workspace.create(FOLDER, archive, order, digest="report", dvc_config=config)
    once = {"stages": {name: stage for name, stage in stages.items() if "foreach" not in stage}}
    files.write_file(FOLDER / PIPELINE, yaml.safe_dump(once, sort_keys=False).encode())
    shutil.copyfile(paths.REGISTRY, FOLDER / paths.REGISTRY)
    shutil.rmtree(FOLDER / paths.PACKAGES)
    shutil.copytree(paths.PACKAGES, FOLDER / paths.PACKAGES, copy_function=os.link)
    blocks = read_blocks()
    write_blocks({name: block for name, block in blocks.items() if name in once["stages"]}, FOLDER / DVC_LOCK)
    for path in (paths.HOST, paths.REPORTS):
        if path.is_dir():
            shutil.copytree(path, FOLDER / path, dirs_exist_ok=True)
        elif path.is_file():
            (FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, FOLDER / path)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": os.pathsep.join([str(FOLDER.resolve()), str((FOLDER / "src").resolve())]),
        "DVC_SITE_CACHE_DIR": str((FOLDER / ".dvc/site").resolve()),
    }
    command = [sys.executable, "-m", "dvc", "repro", "--quiet", "--single-item", REPORT]
    done = subprocess.run(command, cwd=FOLDER, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{REPORT}: {(done.stderr or done.stdout).strip()[-2000:]}")
    shutil.copytree(FOLDER / paths.REPORTS, paths.REPORTS, dirs_exist_ok=True)
    new = {name: block for name, block in read_blocks(FOLDER / DVC_LOCK).items() if name == REPORT}
    write_blocks(merged(read_blocks(), new, _slugs()))
    workspace.remove(FOLDER)


def _slugs() -> tuple[str, ...]:
    from stages.registry import model_list

    return model_list.slugs()
