"""Packages of models that were built elsewhere, from DVC's remote: what the report and a publish need."""

import shutil
from pathlib import Path
from typing import Any

from stages.core import files, paths
from stages.fleet.dvc_hashes import cached_folder
from stages.fleet.lock_blocks import Blocks, parse_block


def pull(repo: Any, slugs: list[str], blocks: Blocks) -> list[str]:
    """Put the packages that the lock names into artifacts/packages/; the models whose package the remote lacks."""
    from dvc_data.hashfile.hash_info import HashInfo

    wanted: dict[str, str] = {}
    for slug in slugs:
        outs = {out["path"]: out["md5"] for out in parse_block(blocks[f"pack@{slug}"])["outs"]}
        wanted[slug] = outs[paths.package(slug).as_posix()]
    cache = Path(repo.cache.local.path).parents[1]
    missing = {oid for oid in wanted.values() if cached_folder(oid, cache) is None}
    if missing:
        repo.cloud.pull([HashInfo("md5", oid) for oid in sorted(missing)])
    folders = {slug: cached_folder(oid, cache) for slug, oid in wanted.items()}
    contents = {md5 for found in folders.values() for md5 in (found or {}).values()}
    if absent := sorted(md5 for md5 in contents if not _object(cache, md5).is_file()):
        repo.cloud.pull([HashInfo("md5", md5) for md5 in absent])
    lacking = []
    for slug, found in folders.items():
        if found is None or not all(_object(cache, md5).is_file() for md5 in found.values()):
            lacking.append(slug)
            continue
        with files.staged_folder(paths.package(slug)) as folder:
            for name, md5 in found.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(_object(cache, md5), folder / name)
    return lacking


def _object(cache: Path, md5: str) -> Path:
    return cache / "files" / "md5" / md5[:2] / md5[2:]
