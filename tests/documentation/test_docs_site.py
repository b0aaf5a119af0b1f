"""The documents as a site, and the pages that are written from the code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stages.commands.reference_pages import reference_pages
from tools.docs_site import rewritten

ROOT = Path(__file__).parents[2]
ADDRESS = "https://example.com/acme/artificer"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with every warning as an error."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "ARTIFICER_REPOSITORY": ADDRESS}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_documents_build_without_a_warning(built: Path) -> None:
    """Every page is in the navigation, and every link and anchor leads somewhere."""
    assert (built / "index.html").is_file()
    assert (built / "how-to" / "thresholds.html").is_file()


def test_the_python_api_is_documented(built: Path) -> None:
    """From the docstrings of what a service imports."""
    text = (built / "reference" / "python.html").read_text(encoding="utf-8")
    for name in ("artificer.load", "artificer.Policy", "artificer.Reranker", "artificer.ModelIndex"):
        assert f'id="{name}"' in text, name


def test_no_page_of_the_site_needs_another_host_to_be_read(built: Path) -> None:
    """No font, style or picture comes from elsewhere."""
    for path in built.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        for start in ('<link rel="stylesheet" href="http', '<script src="http', '<img src="http', "fonts.googleapis"):
            assert start not in text, path


def test_the_reference_pages_are_up_to_date() -> None:
    """`python -m stages schema` writes them from the types and the parsers."""
    for path, page in reference_pages().items():
        assert (ROOT / path).read_text(encoding="utf-8") == page, f"{path}: run `python -m stages schema`"


def test_every_key_of_params_yaml_is_in_the_reference() -> None:
    """Sections, and the keys of each."""
    text = reference_pages()[Path("docs/reference/params.md")]
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for section, value in params.items():
        assert f"\n| `{section}` |" in text
        if section not in ("recipes", "thresholds"):
            for key in value:
                assert f"\n| `{key}` |" in text[text.index(f"\n## `{section}`") :], key


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("[a](../params.yaml)", f"[a]({ADDRESS}/blob/main/params.yaml)"),
        ("[a](../benchmarks/README.md#x)", f"[a]({ADDRESS}/blob/main/benchmarks/README.md#x)"),
        ("[a](data.md#x)", "[a](data.md#x)"),
        ("[a](https://other.example/b)", "[a](https://other.example/b)"),
    ],
)
def test_links_that_leave_the_documents_lead_to_the_repository(markdown: str, expected: str) -> None:
    """A page of the site has no file beside docs/."""
    assert rewritten(markdown, "page.md", ADDRESS) == expected


def test_a_link_that_leaves_the_documents_is_text_without_an_address() -> None:
    """Nobody is led to a page that is not there."""
    assert rewritten("[`params.yaml`](../params.yaml)", "page.md", "") == "`params.yaml`"
