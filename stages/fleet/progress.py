"""What a run shows: a live table on a terminal, else a line for each model that ends."""

import sys
import time
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from stages.fleet.fragments import Fragment

MOST_ROWS = 15


@dataclass(slots=True)
class Progress:
    """Counts of one run, and who builds what."""

    total: int
    up_to_date: int = 0
    built: int = 0
    running: dict[str, tuple[str, float]] = field(default_factory=dict)  # slug: where, since when
    failed: list[Fragment] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    _live: Live | None = None

    def __enter__(self) -> "Progress":
        if sys.stdout.isatty():
            self._live = Live(get_renderable=self._table, console=Console(), refresh_per_second=2)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def start(self, slug: str, where: str) -> None:
        """A model began, or began again."""
        self.running[slug] = (where, time.monotonic())

    def end(self, found: Fragment) -> None:
        """A model ended."""
        self.running.pop(found.slug, None)
        if found.status == "built":
            self.built += 1
        else:
            self.failed.append(found)
        if self._live is None:
            what = f"built in {found.seconds:.0f} s" if found.status == "built" else f"FAILED: {found.failed}"
            print(f"{self.done}/{self.total} {found.slug}: {what} ({found.where})", flush=True)

    @property
    def done(self) -> int:
        """Models that ended, well or not."""
        return self.built + len(self.failed)

    def eta_seconds(self) -> float | None:
        """Until the last ends, at the pace so far; None before the first ended."""
        if not self.done:
            return None
        return (time.monotonic() - self.started) / self.done * (self.total - self.done)

    def _table(self) -> Table:
        eta = self.eta_seconds()
        left = "-" if eta is None else f"{eta / 60:.0f} min"
        title = (
            f"{self.done} of {self.total} done, {len(self.failed)} failed, {self.up_to_date} up to date, {left} left"
        )
        table = Table("model", "where", "minutes", title=title, title_justify="left")
        for slug, (where, since) in list(self.running.items())[:MOST_ROWS]:
            table.add_row(slug, where, f"{(time.monotonic() - since) / 60:.1f}")
        if len(self.running) > MOST_ROWS:
            table.add_row(f"and {len(self.running) - MOST_ROWS} more", "", "")
        for found in self.failed[-5:]:
            table.add_row(found.slug, f"[red]{found.failed[:60]}[/]", "")
        return table
