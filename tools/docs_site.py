"""What mkdocs must know of this repository: links that leave docs/ lead to its address, or are text without one.

`ARTIFICER_REPOSITORY` is the repository's address, such as https://github.com/acme/artificer; GitHub's own variables
are read as well.
"""

import os
import posixpath
import re
from typing import Any

LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#]+)(#[^)]*)?\)")
BRANCH = "main"


def repository() -> str:
    """The address, or an empty text."""
    if "ARTIFICER_REPOSITORY" in os.environ:
        return os.environ["ARTIFICER_REPOSITORY"].rstrip("/")
    server, name = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
    return f"{server}/{name}" if server and name else ""


def rewritten(markdown: str, page: str, address: str) -> str:
    """The text of the page at `page`, a path below docs/, with its outward links changed."""

    def one(match: re.Match[str]) -> str:
        picture, text, target, anchor = match[1], match[2], match[3], match[4] or ""
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), target))
        if "://" in target or target.startswith(("mailto:", "/")) or path.startswith("docs/"):
            return match[0]
        if picture or not address:
            return text
        return f"[{text}]({address}/blob/{BRANCH}/{path}{anchor})"

    return LINK.sub(one, markdown)


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """mkdocs calls it for each page."""
    return rewritten(markdown, page.file.src_uri, repository())
