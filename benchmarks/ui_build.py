"""Seconds from the click on "Add and build" to the published folder, in a real browser, of a tiny model.

    python -m benchmarks.ui_build [--rounds 3]

The page is served by `python -m stages ui` in a new project each time. Timed are the entry, the lock and every stage,
for one variant and for those of an ordinary entry.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser

from tests.site.browser import started
from tests.ui.serving import serving

MILLISECONDS = 900_000


def seconds(browser: Browser, root: Path, only: str | None) -> float:
    """Of one build: of the variant `only`, or of those that the form has ticked."""
    with serving(root) as served:
        page = browser.new_page()
        page.goto(f"{served.address}/add")
        page.fill("[name=source]", "checkpoints/tiny")
        page.fill("[name=license]", "mit")
        for box in page.locator("[name=variants]").all() if only else ():
            box.set_checked(box.get_attribute("value") == only)
        page.click("text=Inspect")
        page.wait_for_selector("#found:visible", timeout=MILLISECONDS)
        begun = time.perf_counter()
        page.click("#build")
        page.wait_for_selector("#job-state.is-done, #job-state.is-failed", timeout=MILLISECONDS)
        taken = time.perf_counter() - begun
        assert (root / "dist/artificer/tiny/manifest.json").is_file(), page.inner_text("#job")
        page.close()
    return taken


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    print("| variants | seconds from click to published folder, median | least |\n|---|---:|---:|")
    with tempfile.TemporaryDirectory() as temporary, started() as browser:
        for name, only in (("onnx", "onnx"), ("those of an ordinary entry", None)):
            found = [seconds(browser, Path(temporary, f"{name[:4]}{i}"), only) for i in range(rounds)]
            print(f"| {name} | {median(found):.1f} | {min(found):.1f} |", flush=True)


if __name__ == "__main__":
    main()
