"""Which of its figures an explanation states."""

from types import SimpleNamespace
from typing import Any

import pytest

from artificer.loading.explain import _speed
from artificer.manifest import RequestRow
from artificer.selection.policy import Objective
from artificer.selection.speeds import Measured

REQUEST = RequestRow(inputs=1, p50_ms=2.74, p95_ms=3.81)


@pytest.mark.parametrize(
    ("objective", "request_row", "said"),
    [
        ("throughput", REQUEST, "812 inputs per second in batches, on here"),
        ("size", REQUEST, "812 inputs per second in batches, on here"),
        (
            "latency",
            REQUEST,
            "2.7 ms for one input of new lengths (p95 3.8 ms), 812 inputs per second in batches, on here",
        ),
        ("latency", None, "1.5 ms for a call of the smallest batch, 812 inputs per second in batches, on here"),
    ],
)
def test_the_figures_of_single_calls_are_stated_for_latency(
    objective: Objective, request_row: RequestRow | None, said: str
) -> None:
    """They are of a process that was loaded for latency; another load has compiled nothing before its first calls."""
    figures = Measured(host="here", latency_ms=1.5, inputs_per_second=812.4, peak_memory_bytes=1, request=request_row)
    execution: Any = SimpleNamespace(measured=figures)
    assert _speed(execution, objective) == said
