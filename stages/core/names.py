"""The patterns of names: slugs, repository ids, commits, branches, licenses."""

import re

SLUG_PATTERN = "^[a-z0-9][a-z0-9-]{0,63}$"
REPO_PATTERN = r"^[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}$"
NAMESPACE_PATTERN = r"^[A-Za-z0-9][\w.-]{0,95}$"
LICENSE_PATTERN = r"^[A-Za-z0-9][\w.+-]{0,63}$"  # an SPDX id, or one of the Hub's
COMMIT_PATTERN = "^[0-9a-f]{40}$"
BRANCH_PATTERN = r"^[A-Za-z0-9][\w.-]{0,95}$"
PIP_ADDRESS_PATTERN = r'^(git\+(https|ssh|file)://[^\s"$`\\]+|(https|file)://[^\s"$`\\]+\.whl)$'


def is_slug(text: str) -> bool:
    """Whether `text` can name a model in the registry."""
    return re.fullmatch(SLUG_PATTERN, text) is not None


def is_repo_id(text: str) -> bool:
    """Whether `text` can be a repository of the Hub: `organisation/name`. Both parts may hold dots, but not two in a
    row, since the id is also a path below a folder."""
    return re.fullmatch(REPO_PATTERN, text) is not None and ".." not in text


def is_commit(text: str | None) -> bool:
    """Whether `text` is a full commit hash, which never changes its meaning, unlike a branch or tag."""
    return re.fullmatch(COMMIT_PATTERN, text or "") is not None
