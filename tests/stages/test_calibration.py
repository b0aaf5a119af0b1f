"""Pairs of texts that static int8 is calibrated on, as rows of tokens."""

from pathlib import Path

import pytest

from stages.building.calibration import Rows, calibration_rows, rows_of_one_length
from tests.stages.project import SLUG

INPUTS = ("input_ids", "attention_mask")


@pytest.fixture(autouse=True)
def _inside(proven: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(proven)


def tokens(rows: Rows) -> list[dict[str, list[int]]]:
    """Each batch's only row, as lists."""
    return [{name: values[0].tolist() for name, values in row.items()} for row in rows]


def test_rows_are_padded_to_a_step() -> None:
    """OpenVINO compiles for each length that it meets."""
    rows = tokens(calibration_rows(SLUG, INPUTS, length_step=16))
    assert {len(row["input_ids"]) % 16 for row in rows} == {0}
    assert any(0 in row["attention_mask"] for row in rows)


def test_rows_of_one_length_have_no_padding() -> None:
    """At least half of the pairs; the longer ones are cut."""
    rows, all_rows = tokens(rows_of_one_length(SLUG, INPUTS)), tokens(calibration_rows(SLUG, INPUTS))
    assert len({len(row["input_ids"]) for row in rows}) == 1
    assert len({len(row["input_ids"]) for row in all_rows}) > 1
    assert {number for row in rows for number in row["attention_mask"]} == {1}
    assert len(all_rows) / 2 <= len(rows) < len(all_rows)
