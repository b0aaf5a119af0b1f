"""From the form to the published folder, in a real browser, with the real commands."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.stages import project
from tests.stages.project import read_yaml, write_yaml
from tests.ui.serving import Served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.toolchain
MILLISECONDS = 400_000


@contextmanager
def opened(chromium: "Browser", address: str, width: int = 1280) -> Iterator["Page"]:
    """A page; at the end there must have been no error in its console."""
    context = chromium.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(address)
    try:
        yield page
        assert not problems
    finally:
        context.close()


@pytest.fixture(scope="module")
def built(chromium: "Browser", served: Served) -> Served:
    """The tiny model, built from the form; what the page showed on the way is checked here, in order."""
    registry = served.root / "registry/models.yaml"
    before = registry.read_text()
    with opened(chromium, f"{served.address}/add") as page:
        page.fill("[name=source]", "checkpoints/tiny")
        page.fill("[name=license]", "mit")
        for box in page.locator("[name=variants]").all():
            box.set_checked(box.get_attribute("value") == "onnx")
        page.click("text=Inspect")
        page.wait_for_selector("#found:visible", timeout=MILLISECONDS)
        assert "would add models.tiny: BertForSequenceClassification" in page.inner_text("#found-text")
        assert page.inner_text("#found-text").endswith("variants: onnx")
        assert page.inner_text("#found-command").startswith(
            "python -m stages add --license=mit --variants=onnx --dry-run -- checkpoints/tiny"
        )
        assert registry.read_text() == before, "inspecting writes nothing"
        page.click("#build")
        page.wait_for_selector("#job-stages .badge", timeout=MILLISECONDS)
        page.reload()
        page.wait_for_selector("#job:visible")
        assert page.inner_text("#job-title") == "Building tiny"
        page.wait_for_selector("#job-state.is-done, #job-state.is-failed", timeout=MILLISECONDS)
        assert page.inner_text("#job-state").startswith("Done. Published to dist/artificer/tiny"), page.inner_text(
            "#job"
        )
        assert "✓ publish@tiny" in page.inner_text("#job-stages")
        assert "dvc repro publish@tiny" in page.inner_text("#job-commands")
        assert page.locator("#cancel").is_hidden()
    return served


def test_a_build_from_the_form_ends_in_its_published_folder(built: Served) -> None:
    """What the page did is what the commands do."""
    folder = built.root / "dist/artificer/tiny"
    assert json.loads((folder / "manifest.json").read_text())["slug"] == "tiny"
    entry = read_yaml(built.root / "registry/models.yaml")["models"]["tiny"]
    assert entry["variants"] == {"include": ["onnx"]}
    assert (built.root / "registry/receipts/tiny.json").is_file()


def test_two_executions_are_compared_side_by_side(chromium: "Browser", built: Served) -> None:
    """Scores, both ranks, and the median time of each."""
    with opened(chromium, f"{built.address}/") as page:
        page.wait_for_selector("[name=a] option", state="attached", timeout=MILLISECONDS)
        page.fill("[name=documents]", "one document\nanother one\n\n")
        page.click("text=Score")
        page.wait_for_selector(".tried", timeout=MILLISECONDS)
        assert page.locator(".tried tbody tr").count() == 2
        assert page.locator("#tried .big").all_inner_texts()[0].endswith(" ms")
        cells = page.locator(".tried tbody tr").first.locator("td").all_inner_texts()
        assert "artificer rank --accuracy=any --variant=onnx -- dist/artificer/tiny" in page.inner_text("#tried")
        assert cells[1] == "1"
        assert cells[4] == "0"  # the same execution twice


def test_a_dry_run_says_what_a_publish_would_do(chromium: "Browser", built: Served) -> None:
    """And a publish asks once."""
    with opened(chromium, f"{built.address}/publish") as page:
        page.click("text=Dry run")
        page.locator("#job-title", has_text="dry-run of tiny").wait_for()
        page.wait_for_selector("#job-state.is-done", timeout=MILLISECONDS)
        assert "python -m stages publish tiny --dry-run" in page.inner_text("#job-commands")
        page.click("[value=publish]")
        assert page.inner_text("#confirm-text") == "Publish tiny?"
        page.click("#no")
        assert page.is_hidden("#confirm")


def publishing(page: "Page", action: str, question: str) -> str:
    """Press a button of the publish page, answer its one question, and wait; what the job said."""
    page.click(f"[value={action}]")
    assert page.inner_text("#confirm-text") == question
    assert page.inner_text("#confirm-command") == f"python -m stages {action} tiny"
    page.click("#yes")
    assert page.is_hidden("#confirm")
    page.locator("#job-title", has_text=f"{action} of tiny").wait_for()
    page.wait_for_selector("#job-state.is-done, #job-state.is-failed", timeout=MILLISECONDS)
    assert page.inner_text("#job-commands") == f"python -m stages {action} tiny"
    return page.inner_text("#job")


def stable(root: Path) -> str | None:
    """The manifest hash of the stable release, as the index has it."""
    channels = json.loads((root / "dist/index.json").read_text())["models"]["tiny"]["channels"]
    return channels["stable"]["manifest_sha256"] if "stable" in channels else None


def test_a_release_is_promoted_and_rolled_back(chromium: "Browser", built: Served) -> None:
    """Each asks once and shows its command; two releases, since there must be one to go back to."""
    with opened(chromium, f"{built.address}/publish") as page:
        assert stable(built.root) is None
        text = publishing(page, "promote", "Make the candidate of tiny stable?")
        assert "tiny: stable is releases/artificer/tiny/" in text
        first = stable(built.root)
        assert first is not None
        text = publishing(page, "rollback", "Move stable of tiny back to the release before?")
        assert "Failed: " in text
        assert stable(built.root) == first

        entries = read_yaml(built.root / "registry/models.yaml")
        entries["models"]["tiny"]["license"] = "apache-2.0"
        write_yaml(built.root / "registry/models.yaml", entries)
        for arguments in (("fetch", "tiny"), ("pack", "tiny")):
            done = project.stage(built.root, *arguments)
            assert done.returncode == 0, done.stderr
        publishing(page, "publish", "Publish tiny?")
        publishing(page, "promote", "Make the candidate of tiny stable?")
        assert stable(built.root) not in (None, first)
        publishing(page, "rollback", "Move stable of tiny back to the release before?")
        assert stable(built.root) == first


def test_a_source_that_is_refused_says_why_in_one_line(chromium: "Browser", built: Served) -> None:
    """And offers no build."""
    with opened(chromium, f"{built.address}/add") as page:
        page.fill("[name=source]", "checkpoints/none")
        page.click("text=Inspect")
        page.locator("#status", has_text="Error: ").wait_for(timeout=MILLISECONDS)
        assert "checkpoints/none" in page.inner_text("#status")
        assert page.is_hidden("#build")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("path", ["/", "/add", "/publish"])
def test_axe_finds_no_barrier(chromium: "Browser", built: Served, path: str, width: int) -> None:
    """With the job of the tests before it on the page; and nothing is wider than the screen."""
    from axe_playwright_python.sync_playwright import Axe

    with opened(chromium, f"{built.address}{path}", width) as page:
        page.wait_for_timeout(300)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") == width
