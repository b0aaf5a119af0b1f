"""One project and one browser for each module of tests."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.site import browser
from tests.ui.serving import Served, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A tiny checkpoint lies in the project; nothing was added."""
    with serving(tmp_path_factory.mktemp("ui") / "project") as found:
        yield found


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    """A real browser."""
    with browser.started() as found:
        yield found
