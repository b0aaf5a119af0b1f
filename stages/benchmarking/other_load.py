"""How busy other programs kept the machine while this process and its children measured."""

import os
import time

import psutil

# Of psutil.cpu_times; `steal` is what other virtual machines took. Waiting for a disk is not work.
BUSY_TIMES = ("user", "nice", "system", "irq", "softirq", "steal")


class OtherLoad:
    """Counts from its creation on. Children count as our own once they have ended."""

    def __init__(self) -> None:
        self._started = _now()

    def percent(self) -> float:
        """The share of all CPUs that others used, from 0 to 100."""
        elapsed, everything, ours = (now - then for now, then in zip(_now(), self._started, strict=True))
        available = elapsed * (psutil.cpu_count() or 1)
        return round(min(100.0, max(0.0, 100 * (everything - ours) / max(available, 1e-9))), 1)


def _now() -> tuple[float, float, float]:
    """The clock; seconds that the CPUs were busy; seconds of this process and of its ended children."""
    cpu, own = psutil.cpu_times(), os.times()
    everything = sum(getattr(cpu, name, 0.0) for name in BUSY_TIMES)
    return time.monotonic(), everything, own.user + own.system + own.children_user + own.children_system
