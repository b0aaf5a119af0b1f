"""dvc.lock of a merge: `python -m tools.merge_lock` between `git merge` and its commit.

dvc.lock holds an entry for each stage and model. Git merges it as text, which conflicts as soon as both branches built
something. Here each entry is taken from the branch that changed it. Where both did, ours is kept: `dvc repro` runs the
stage again if it is not what the merged files need.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

LOCK = "dvc.lock"
Stages = Mapping[str, Any]


def merged(base: Stages, ours: Stages, theirs: Stages) -> tuple[dict[str, Any], list[str]]:
    """The entries of both branches, in our order and then theirs; and the names of those that both changed."""
    both: list[str] = []
    found: dict[str, Any] = {}
    for name in [*ours, *(name for name in theirs if name not in ours)]:
        before, mine, other = base.get(name), ours.get(name), theirs.get(name)
        if mine != before and other != before and mine != other:
            both.append(name)
        kept = other if mine == before else mine
        if kept is None and mine != other and before != other:
            kept = other  # removed here and changed there: `dvc repro` drops what no stage needs
        if kept is not None:
            found[name] = kept
    return found, both


def main() -> int:
    """Write dvc.lock from the three commits of the merge in progress."""
    try:
        base = _git("merge-base", "HEAD", "MERGE_HEAD").strip()
    except subprocess.CalledProcessError:
        print("error: no merge is in progress: run `git merge --no-commit BRANCH` first.", file=sys.stderr)
        return 1
    locks = [_lock(commit) for commit in (base, "HEAD", "MERGE_HEAD")]
    stages, both = merged(*(lock.get("stages", {}) for lock in locks))
    text = yaml.safe_dump({"schema": locks[1].get("schema", "2.0"), "stages": stages}, sort_keys=False)
    Path(LOCK).write_text(text, encoding="utf-8")
    print(f"{LOCK}: {len(stages)} stages." + (f" Changed on both branches: {', '.join(both)}." if both else ""))
    return 0


def _lock(commit: str) -> dict[str, Any]:
    if not _git("ls-tree", "--name-only", commit, LOCK).strip():
        return {}
    return yaml.safe_load(_git("show", f"{commit}:{LOCK}")) or {}


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
