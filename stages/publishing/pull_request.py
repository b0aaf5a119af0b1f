"""The pull request that a publish opens or updates: finding ours again, and saying in it what changed."""

from itertools import islice

from stages.core.errors import PublishError
from stages.hub import calls
from stages.hub.repository import HubRepo
from stages.records.receipts import Receipt


def find(repo: HubRepo, title: str, receipt: Receipt | None, manifest_sha256: str) -> int | None:
    """The number of our open pull request: the receipt's, else one by this token's user with this title.

    Raises PublishError when the maintainers closed it over the very same bytes.
    """
    if receipt is not None and receipt.pull_request is not None:
        number = receipt.pull_request
        status = calls.call(repo.api.get_discussion_details, repo.repo, number).status
        if status in ("open", "draft"):
            return number
        if status == "closed" and receipt.manifest_sha256 == manifest_sha256:
            raise PublishError(
                f"{repo.repo}: pull request {number} with these files was closed. Nothing was sent. To propose them "
                f"again, delete registry/receipts/{receipt.slug}.json."
            )
    if not repo.api.token:
        return None
    me = calls.call(repo.api.whoami)["name"]
    found = calls.call(
        lambda: list(
            repo.api.get_repo_discussions(
                repo.repo, author=me, discussion_type="pull_request", discussion_status="open"
            )
        )
    )
    return next((each.num for each in found if each.title == title), None)


def next_number(repo: HubRepo) -> int:
    """The number that a pull request opened now would get, unless somebody is faster."""
    newest = calls.call(lambda: list(islice(repo.api.get_repo_discussions(repo.repo), 50)))
    return max((each.num for each in newest), default=0) + 1


def say(repo: HubRepo, number: int, text: str) -> None:
    """Comment. A comment that cannot be posted is reported and does not fail the publish."""
    try:
        repo.api.comment_discussion(repo.repo, number, text)
    except Exception as error:
        print(f"pull request {number}: the comment could not be posted: {calls.explain(error, repo.repo, None)}")
