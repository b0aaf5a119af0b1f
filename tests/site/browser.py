"""A Chromium that is installed on this machine; playwright's own download of one fails in closed networks."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
REMEDY = "apt-get install chromium-headless-shell, or set ARTIFICER_BROWSER to a Chromium's path"


def browser_path() -> str | None:
    """`ARTIFICER_BROWSER`, else the first Chromium on PATH."""
    return os.environ.get("ARTIFICER_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def started() -> Iterator["Browser"]:
    """A browser without a window. Without one the tests are skipped, or fail where REQUIRE_BROWSER is set, as in CI."""
    path = browser_path()
    if path is None:
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail(f"no browser: {REMEDY}")
        pytest.skip(f"no browser: {REMEDY}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # As root, which containers often are, Chromium refuses to start with its sandbox.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
