"""One site for each module of tests: a session's event loop would end before it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from artificer.manifest import Manifest
from tests.site import browser, made

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    """Two packed models."""
    return made.packed(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, manifests: list[Manifest]) -> Path:
    """The folder of their site."""
    return made.site(tmp_path_factory.mktemp("site"), manifests)


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    """A real browser."""
    with browser.started() as found:
        yield found
