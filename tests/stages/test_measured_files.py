"""Figures that other hosts left in git, of this release and of others."""

from pathlib import Path

import pytest

from artificer.manifest import Benchmark, Host, canonical_json
from artificer.manifest.metric_names import LENGTH_METRIC
from artificer.proving.measurement import Measurement
from stages.core.errors import RegistryError
from stages.records.measured_files import load_measured
from stages.records.parity_records import VariantParity, measured_elsewhere
from tests.stages.fabricated import HOST


@pytest.mark.parametrize("kind", [Benchmark, list[VariantParity]])
@pytest.mark.parametrize("content", ["", "{", '[{"id": "onnx", "figures": {}}]', '{"host": {"name": "other"}}'])
def test_figures_of_another_release_cost_one_message(tmp_path: Path, kind: type, content: str) -> None:
    """A file that this release cannot read is an error of the registry, which names the file and the remedy."""
    path = tmp_path / "other.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(RegistryError, match=r"other\.json: .* measure on that host again, or remove the file"):
        load_measured(path, kind)


AMX = ("amx_int8", "amx_tile", "avx2", "avx512", "avx512_vnni", "x86-64")


def of_class(name: str) -> VariantParity:
    """A variant that was measured on one class of CPU."""
    measurement = Measurement(
        runtime_version="1.0", isa_class=name, execution_precision="f32", default_precision=True,
        metrics={LENGTH_METRIC: 0.0},
    )  # fmt: skip
    return VariantParity(id="onnx", digest="0" * 64, error=None, measurements=(measurement,), logits=())


def classes(root: Path, name: str, isa: tuple[str, ...] | None) -> list[str]:
    """The classes that another host's record of class `name` proves, by its figures: those of a host with `isa`."""
    (root / "registry/parity/tiny").mkdir(parents=True, exist_ok=True)
    (root / "registry/parity/tiny/other.json").write_bytes(canonical_json([of_class(name)]))
    if isa is not None:
        host = Host(
            name="other", architecture="x86_64", cpu_model="Xeon", isa=isa, isa_class=name, cores=2, accelerators=(),
            runtimes={},
        )  # fmt: skip
        found = Benchmark(host=host, preset="embedded", threads=2, rounds=1, subjects=())
        (root / "registry/benchmarks/tiny").mkdir(parents=True, exist_ok=True)
        (root / "registry/benchmarks/tiny/other.json").write_bytes(canonical_json(found))
    return [each.isa_class for each in measured_elsewhere("tiny", HOST, of_class("avx2"))]


def test_a_record_that_was_called_by_an_older_class_counts_as_what_its_host_was(root: Path) -> None:
    """Releases before schema 2.1 called a machine with AMX `avx512_vnni`; its figures list what it has."""
    assert classes(root, "avx512_vnni", AMX) == ["amx"]
    assert classes(root, "avx512_vnni", AMX[2:]) == ["avx512_vnni"]


def test_a_record_whose_class_was_split_proves_nothing_without_figures_of_its_host(root: Path) -> None:
    """It may be of either; a class that was not split is what it says."""
    assert classes(root, "avx512_vnni", None) == []
    assert classes(root, "avx512", None) == ["avx512"]
