"""A published folder of a tiny model."""

from collections.abc import Callable
from pathlib import Path

import pytest

from artificer.manifest import MANIFEST_FILE
from tests.hub_publish import tiny

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write a published folder; the arguments are those of `tiny.build`."""

    def write(**options: object) -> Path:
        root = tiny.make_project(tmp_path / "project") if not (tmp_path / "project").exists() else tmp_path / "project"
        files = tiny.contents(root, tiny.build(root, **options))  # type: ignore[arg-type]
        folder = tmp_path / "published"
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        assert (folder / MANIFEST_FILE).exists()
        return folder

    return write
