"""The site in a real browser: from a disk and over HTTP, without an error, a request elsewhere, or a barrier."""

import functools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from artificer.manifest import Manifest
from tests.site.made import FIRST, HERE, SECOND, THERE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PAGES = ("index.html#rows=all", f"models/{FIRST}.html", f"models/{SECOND}.html", f"compare.html#a={FIRST}&b={SECOND}")


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and prints nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """No log."""


@pytest.fixture(scope="module")
def served(site: Path) -> Iterator[str]:
    """The address of the site over HTTP, below a path as on GitHub Pages."""
    handler = functools.partial(Quiet, directory=str(site.parents[1]))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/some/project"
        server.shutdown()


@contextmanager
def opened(
    chromium: "Browser", address: str, *, width: int = 1280, scheme: str = "light", height: int = 800
) -> Iterator["Page"]:
    """A page; at the end there must have been no error, and no request to anywhere else."""
    context = chromium.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page = context.new_page()
    problems: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda request: problems.append(request.url))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    page.wait_for_load_state("load")
    try:
        yield page
        origin = address.split("/some/project")[0]
        assert not problems
        assert [url for url in requests if not url.startswith((origin, "data:"))] == []
    finally:
        context.close()


def address_of(page: "Page") -> str:
    """The state in the address, as the page has it now; `page.url` follows later."""
    return str(page.evaluate("location.hash"))


@pytest.mark.parametrize("address", PAGES)
def test_pages_open_from_a_disk(chromium: "Browser", site: Path, address: str) -> None:
    """No server, no network: a folder that somebody sent."""
    with opened(chromium, f"{site.as_uri()}/{address}") as page:
        assert page.locator("h1").inner_text()
        assert page.locator(".badge").count() > 0


@pytest.mark.parametrize("address", PAGES)
def test_pages_open_over_http_below_a_path(chromium: "Browser", served: str, address: str) -> None:
    """As a project's GitHub Pages."""
    with opened(chromium, f"{served}/{address}") as page:
        assert page.locator(".badge").count() > 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("address", [PAGES[0], PAGES[1], PAGES[3]])
def test_axe_finds_no_barrier(chromium: "Browser", served: str, address: str, width: int, scheme: str) -> None:
    """Names, roles, contrast and structure, with all evidence open."""
    from axe_playwright_python.sync_playwright import Axe

    with opened(chromium, f"{served}/{address}", width=width, scheme=scheme) as page:
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("address", PAGES)
def test_nothing_is_wider_than_a_phone(chromium: "Browser", served: str, address: str) -> None:
    """390 pixels: wide tables scroll in a box of their own."""
    with opened(chromium, f"{served}/{address}", width=390, height=844) as page:
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_best_of_each_model_is_shown_first(chromium: "Browser", served: str) -> None:
    """The fastest that is proven on the host that measured most models."""
    with opened(chromium, f"{served}/index.html") as page:
        rows = page.locator("#rows [role=row]")
        assert rows.count() == 2
        assert rows.nth(0).inner_text().split("\n")[:2] == [FIRST, "openvino-qint8"]
        assert "5.25×" in rows.nth(0).inner_text()


def test_a_visitor_sees_speed_quality_and_verdicts_first(chromium: "Browser", served: str) -> None:
    """Of the host that is shown, before any filter."""
    with opened(chromium, f"{served}/index.html") as page:
        here = page.locator("#summary .big").all_inner_texts()
        assert here[0] == "4.88×"
        assert [text[-1] for text in here[1:]] == ["%", "%"]
        page.select_option("[name=host]", THERE)
        assert page.locator("#summary .big").first.inner_text() == "6.00×"


def test_filters_are_kept_in_the_address(chromium: "Browser", served: str) -> None:
    """A view can be sent to somebody, and a reload shows it again."""
    with opened(chromium, f"{served}/index.html") as page:
        page.select_option("[name=rows]", "all")
        page.select_option("[name=verdict]", "failed")
        page.fill("[name=q]", "avx512")
        assert address_of(page) == "#q=avx512&verdict=failed&rows=all"
        assert page.locator("#rows [role=row]").count() == 1
        page.reload()
        assert page.input_value("[name=q]") == "avx512"
        assert page.locator("#rows .badge").inner_text().split() == ["✕", "failed"]


def test_it_says_how_many_models_a_host_did_not_measure(chromium: "Browser", served: str) -> None:
    """Otherwise a host with few models would look complete."""
    with opened(chromium, f"{served}/index.html#host={THERE}") as page:
        assert page.inner_text("#status") == "2 rows of 2 models; 1 model was not measured on this host"
        assert page.inner_text("#about").startswith(f"Figures of {THERE}: Another CPU")


def test_a_column_sorts_by_keyboard(chromium: "Browser", served: str) -> None:
    """The header's button takes the key, and the column says how it is sorted."""
    with opened(chromium, f"{served}/index.html#rows=all") as page:
        page.locator("#head [data-sort=size] button").focus()
        page.keyboard.press("Enter")
        assert page.get_attribute("#head [data-sort=size]", "aria-sort") == "ascending"
        assert page.get_attribute("#head [data-sort=speed]", "aria-sort") == "none"
        page.keyboard.press("Enter")
        assert address_of(page) == "#rows=all&sort=-size"


def test_a_search_without_a_hit_says_so_and_can_be_cleared(chromium: "Browser", served: str) -> None:
    """An empty table is no answer."""
    with opened(chromium, f"{served}/index.html#q=nothing-like-it") as page:
        assert page.is_visible("#empty")
        page.click("#reset")
        assert page.locator("#rows [role=row]").count() == 2


def test_a_failed_variant_opens_its_evidence(chromium: "Browser", served: str) -> None:
    """From the leaderboard to the thresholds that were missed."""
    with opened(chromium, f"{served}/index.html#rows=all&verdict=failed&q=avx512") as page:
        page.click("#rows .c-variant a")
        page.wait_for_url("**/models/**")
        assert page.evaluate("document.getElementById('v-onnx-qint8-avx512').open")
        assert page.locator("#v-onnx-qint8-avx512 .badge", has_text="missed").count() == 1


def test_the_host_switch_changes_every_figure(chromium: "Browser", served: str) -> None:
    """Cards, plot and table belong to one host at a time, and the address keeps which."""
    with opened(chromium, f"{served}/models/{FIRST}.html") as page:
        assert "5.25×" in page.locator(".card.best:visible").inner_text()
        page.click(f'[data-show="{THERE}"]')
        assert "6.00×" in page.locator(".card.best:visible").inner_text()
        assert address_of(page) == f"#host={THERE}"
        assert page.locator("figure:visible").count() == 1


def test_tabs_and_points_move_with_the_arrow_keys(chromium: "Browser", served: str) -> None:
    """One stop of the Tab key for each group."""
    with opened(chromium, f"{served}/models/{FIRST}.html") as page:
        page.focus("#tab-artificer")
        page.keyboard.press("ArrowRight")
        assert page.is_visible("#use-sentence-transformers")
        assert page.is_hidden("#use-artificer")
        page.locator("figure:visible .pt[tabindex='0']").focus()
        first = page.inner_text("figure:visible .tip")
        page.keyboard.press("ArrowRight")
        assert page.inner_text("figure:visible .tip") != first


def test_a_commit_is_copied_whole(chromium: "Browser", served: str, manifests: list[Manifest]) -> None:
    """The page shows its start."""
    with opened(chromium, f"{served}/models/{FIRST}.html") as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.click(".meta .copy")
        page.wait_for_function("document.querySelector('.meta .copy').textContent === 'Copied'")
        assert page.evaluate("navigator.clipboard.readText()") == manifests[0].source.revision


def test_the_chosen_colours_stay(chromium: "Browser", served: str) -> None:
    """On the next page as well."""
    with opened(chromium, f"{served}/index.html") as page:
        page.click("#theme")
        page.click("#theme")
        page.goto(f"{served}/compare.html")
        assert page.get_attribute("html", "data-theme") == "dark"


def test_changed_verdicts_go_first_in_a_comparison(chromium: "Browser", served: str) -> None:
    """What was lost or won is what a reader looks for."""
    with opened(chromium, f"{served}/compare.html#a={FIRST}&b={SECOND}") as page:
        rows = page.locator(".compared tbody tr")
        classes = [row.get_attribute("class") for row in rows.all()]
        changed = [index for index, name in enumerate(classes) if name == "changed"]
        assert changed == list(range(len(changed)))
        assert len(changed) >= 3
        assert page.locator(".compared thead th").nth(2).inner_text().split() == ["Speed", HERE]


def test_a_dropped_manifest_compares_as_the_model_of_the_site(
    chromium: "Browser", served: str, manifests: list[Manifest], tmp_path: Path
) -> None:
    """Both ways read the same figures."""
    files = [tmp_path / f"{manifest.slug}.json" for manifest in manifests]
    for path, manifest in zip(files, manifests, strict=True):
        path.write_bytes(manifest.to_json())
    with opened(chromium, f"{served}/compare.html#a={FIRST}&b={SECOND}") as page:
        page.wait_for_selector(".compared")
        expected = page.inner_text(".compared")
        page.goto(f"{served}/compare.html")
        page.reload()
        for side, path in zip("ab", files, strict=True):
            page.set_input_files(f"#side-{side} [type=file]", path)
        page.wait_for_selector(".compared")
        assert page.inner_text(".compared") == expected


def test_a_file_that_is_no_manifest_is_named(chromium: "Browser", served: str, tmp_path: Path) -> None:
    """With what was wrong."""
    other = tmp_path / "config.json"
    other.write_text(json.dumps({"model_type": "bert"}))
    with opened(chromium, f"{served}/compare.html") as page:
        page.set_input_files("#side-a [type=file]", other)
        page.wait_for_function("document.getElementById('status').textContent.includes('config.json')")
        assert page.inner_text("#status") == "config.json: this is not a manifest.json of Artificer."


@pytest.mark.parametrize("address", PAGES[1:3])
def test_a_page_reads_without_scripts(chromium: "Browser", site: Path, address: str) -> None:
    """A model's page is complete as it was written."""
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.as_uri()}/{address}")
    assert page.locator("figure").first.is_visible()
    assert page.locator(".runs .badge").first.is_visible()
    context.close()
