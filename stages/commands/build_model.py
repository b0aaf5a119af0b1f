"""`build-model`: one model in a workspace of its own. A Job of a cluster or a row of a CI matrix runs it as it is."""

import contextlib
from pathlib import Path

from stages.core.errors import BuildError, UsageError
from stages.fleet import fragments, lock_blocks, model_build, model_proof, runner, workspace
from stages.registry import model_list


def build_model(slug: str, workspace_folder: str, target: str, *, single: bool, prove: bool, out: str | None) -> None:
    """Make the workspace from the working directory, unless it is there; build, or prove what was built; write the
    result. Raises BuildError for a build that fails, after the result was written."""
    folder = Path(workspace_folder).resolve()
    result = Path(out).resolve() if out else folder / runner.RESULT
    if Path.cwd() != folder:
        _prepare(slug, folder)
    elif not workspace.is_ready(folder):
        raise UsageError(f"--workspace: {folder} is the project itself. Give another folder.")
    digest = (folder / workspace.ORDER).read_text()
    with contextlib.chdir(folder):
        found = model_proof.prove(slug, digest) if prove else model_build.build(slug, target, digest, single=single)
    runner.write_result(found, result)
    done = "proven" if prove else f"ran {', '.join(found.ran) or 'nothing'}"
    print(f"{slug}: {found.status} on {found.host} in {found.seconds:.0f} s; {found.failed or done}")
    if found.failed:
        raise BuildError(f"{slug}: {found.failed}")


def _prepare(slug: str, folder: Path) -> None:
    entry = model_list.load_entry(slug)
    raw = model_list.raw_entries()[slug]
    blocks = lock_blocks.of_models(lock_blocks.read_blocks()).get(slug, {})
    order = workspace.order_of(slug, raw, entry, blocks)
    archive = workspace.common_archive()
    digest = fragments.order_digest(archive, order)
    workspace.create(folder, archive, order, digest=digest, dvc_config=workspace.dvc_config(None))


def collect(file: list[str]) -> None:
    """Merge results that `build-model` wrote elsewhere into registry/, reports/ and dvc.lock."""
    found = [fragments.load(Path(each)) for each in file]
    failed = [each for each in found if each.status == "failed"]
    count = fragments.merge(found)
    print(f"merged {count} models")
    if failed:
        raise BuildError("\n".join(f"{each.slug}: {each.failed}" for each in failed))
