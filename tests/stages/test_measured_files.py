"""Figures that other hosts left in git, of this release and of others."""

from pathlib import Path

import pytest

from artificer.manifest import Benchmark
from stages.core.errors import RegistryError
from stages.records.measured_files import load_measured
from stages.records.parity_records import VariantParity


@pytest.mark.parametrize("kind", [Benchmark, list[VariantParity]])
@pytest.mark.parametrize("content", ["", "{", '[{"id": "onnx", "figures": {}}]', '{"host": {"name": "other"}}'])
def test_figures_of_another_release_cost_one_message(tmp_path: Path, kind: type, content: str) -> None:
    """A file that this release cannot read is an error of the registry, which names the file and the remedy."""
    path = tmp_path / "other.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(RegistryError, match=r"other\.json: .* measure on that host again, or remove the file"):
        load_measured(path, kind)
