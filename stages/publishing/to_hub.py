"""Publish to a repo of the Hugging Face Hub: one commit on a known parent, read back before a receipt is written.

Each attempt begins by reading the repo. A commit that landed although its answer was lost is recognised that way, and
so is somebody else's commit: the plan is then made again, unless it was our files that changed.
"""

from typing import Any

from artificer.manifest import SIGNATURE_FILE, FileEntry
from stages.core.errors import PublishError
from stages.core.params import load_params
from stages.hub import calls
from stages.hub.repo_state import State, Wanted
from stages.hub.repository import HubRepo, moved, open_repo
from stages.publishing import pull_request
from stages.publishing.messages import commit_text, describe_plan, pull_request_text, tables, title, try_it
from stages.publishing.package import Package
from stages.publishing.plan import Plan, differences, edited_by_others, make_plan, moved_by_others, not_ours
from stages.publishing.wanted import repo_names, wanted_files
from stages.records.receipts import Receipt, load_receipt
from stages.registry import model_list
from stages.registry.model_list import PublishEntry

TARGET = "hub"
MAIN = "main"


def publish(package: Package, *, dry_run: bool, overwrite: bool) -> Receipt | None:
    """Publish, read back, and return the receipt to write; in a dry run say what would be done and return None.

    `overwrite` replaces files of the repo that others put there or changed. Raises PublishError.
    """
    from huggingface_hub import get_token

    token = get_token()
    if token is None and not dry_run:
        raise PublishError(
            "publish.target is hub, but there is no token. Set HF_TOKEN to one that may write to "
            f"{package.repo}, or set publish.target to folder."
        )
    entry = model_list.load_entry(package.slug).publish
    with calls.hub_errors(package.repo, None, PublishError):
        publisher = _publisher(package, entry, open_repo(package.repo, token), overwrite)
        if dry_run:
            publisher.preview()
            return None
        return publisher.publish()


def held_signature(package: Package) -> bytes | None:
    """The signature that was published with these files before, or None. The receipt says where."""
    from huggingface_hub import get_token

    receipt = load_receipt(package.slug)
    if receipt is None or receipt.commit is None or receipt.signature_sha256 is None:
        return None
    if (receipt.repo, receipt.manifest_sha256) != (package.repo, package.manifest_sha256):
        return None
    try:
        return open_repo(package.repo, get_token()).read(SIGNATURE_FILE, receipt.commit)
    except Exception as error:  # the client's; then it is signed again
        print(f"{package.repo}: {SIGNATURE_FILE} could not be read: {calls.explain(error, package.repo, None)}")
        return None


def _publisher(package: Package, entry: PublishEntry, repo: HubRepo, overwrite: bool) -> "_Publisher":
    """A publish of the files as they are now, after what was published to this repo before."""
    receipt = load_receipt(package.slug)
    same_place = receipt is not None and (receipt.target, receipt.repo) == (TARGET, package.repo)
    wanted = wanted_files(package, entry)
    return _Publisher(package, entry, repo, wanted, receipt if same_place else None, overwrite=overwrite)


class _Publisher:
    """One publish: the package, the entry's wishes, the repo, and what was seen and sent so far."""

    def __init__(
        self,
        package: Package,
        entry: PublishEntry,
        repo: HubRepo,
        wanted: dict[str, Wanted],
        receipt: Receipt | None,
        *,
        overwrite: bool,
    ):
        self._package, self._entry, self._repo, self._overwrite = package, entry, repo, overwrite
        self._wanted, self._receipt = wanted, receipt
        self._seen: dict[str, State] = {}  # by ref, as it was at first
        self._sent: set[str] = set()
        self._restored: set[str] = set()
        self._parent, self._ref = "", ""  # of the last commit that was tried

    def preview(self) -> None:
        """Print what `publish` would do."""
        exists = self._check_repo()
        state, number = State(commit="", files={}, previous={}), None
        if exists:
            ref, number = self._place()
            state = self._state(ref if self._repo.has(ref) else MAIN, number)
            self._refuse_conflicts(state, number)
        plan = make_plan(self._wanted, state)
        opens = self._entry.pull_request and number is None and not plan.empty
        print(describe_plan(self._repo.repo, state, plan, self._entry, number, creates=not exists, opens=opens))

    def publish(self) -> Receipt:
        """Make the repo hold the package; return what was read back."""
        if not self._check_repo():
            calls.call(self._repo.api.create_repo, self._repo.repo, private=self._entry.private, exist_ok=True)
        if not self._entry.pull_request and not self._repo.has(self._entry.branch):
            calls.call(self._repo.api.create_branch, self._repo.repo, branch=self._entry.branch, exist_ok=True)
        state, number = calls.retrying(calls.settings().retry, also=moved)(self._attempt)
        self._prove(state)
        where = f"pull request {number}" if number else self._entry.branch
        done = f"commit {state.commit}" if self._sent else f"holds these files already, at {state.commit}"
        print(f"{self._repo.repo} ({where}): {done}, {len(self._wanted)} files")
        items = self._wanted.values()
        return Receipt(
            slug=self._package.slug,
            target=TARGET,
            repo=self._repo.repo,
            manifest_sha256=self._package.manifest_sha256,
            signature_sha256=self._package.signature_sha256,
            files=len(items),
            bytes=sum(item.size for item in items),
            commit=state.commit,
            pull_request=number,
            offered=tuple(FileEntry(path=i.path, size=i.size, sha256=i.sha256) for i in items)
            if self._entry.contents == "variants"
            else (),
        )

    def _check_repo(self) -> bool:
        """Whether the repo is there. Raises PublishError where its visibility is not what the entry says."""
        info = self._repo.info(MAIN)
        if info is None and self._entry.pull_request:
            raise PublishError(
                f"{self._repo.repo}: no such repo to open a pull request on, or the token cannot see it."
            )
        if info is not None and self._entry.private and not info.private and not self._entry.pull_request:
            raise PublishError(
                f"{self._repo.repo} is public, models.{self._package.slug}.publish.private says private (the default). "
                "Write `private: false` there, or make the repo private."
            )
        return info is not None

    def _place(self) -> tuple[str, int | None]:
        """The ref to commit to, and the number of our open pull request if there is one."""
        if not self._entry.pull_request:
            return self._entry.branch, None
        own_title, sha256 = title(self._package), self._package.manifest_sha256
        number = pull_request.find(self._repo, own_title, self._receipt, sha256)
        return (f"refs/pr/{number}", number) if number else (MAIN, None)

    def _state(self, ref: str, number: int | None) -> State:
        previous: dict[str, FileEntry] | None = None
        if self._entry.contents == "variants":
            offered = self._receipt.offered if self._receipt and (number or not self._entry.pull_request) else ()
            previous = {entry.path: entry for entry in offered}
        return self._repo.state(ref, self._wanted, previous)

    def _attempt(self) -> tuple[State, int | None]:
        """Read, plan, commit, read again: the state that holds everything, and the pull request it is in."""
        ref, number = self._place()
        state = self._state(ref, number)
        self._refuse_conflicts(state, number)
        first = self._seen.setdefault(ref, state)
        if theirs := moved_by_others(self._wanted, first, state):
            raise PublishError(
                f"{self._repo.repo} ({ref}): somebody changed {_some(theirs)} while this publish ran. Nothing of "
                "theirs was overwritten. Look at the repo's history, then run again."
            )
        plan = make_plan(self._wanted, state)
        if not plan.empty:
            number = self._commit(plan, state, ref, number)
            ref = f"refs/pr/{number}" if number else ref
            state = self._state(ref, number)
        self._ref = ref
        gone = tuple(path for path in plan.deletes if path not in self._restored)
        if differences(self._wanted, gone, state):  # an answer may be damaged as well
            state = self._state(ref, number)
        if wrong := differences(self._wanted, gone, state):
            self._give_up_damaged(wrong)
        return state, number

    def _refuse_conflicts(self, state: State, number: int | None) -> None:
        """A pull request may propose to replace files; nothing else may touch what others made."""
        if self._overwrite or (self._entry.pull_request and number is None):
            return
        foreign = [] if number else not_ours(self._wanted, state)
        if foreign:
            raise PublishError(
                f"{self._repo.repo} holds files that no Artificer manifest lists: {_some(foreign)}. Nothing was sent. "
                "Publish to another repo, open a pull request (`publish.pull_request: true`), or replace them with "
                f"`python -m stages publish {self._package.slug} --overwrite`."
            )
        if edited := edited_by_others(self._wanted, state):
            raise PublishError(
                f"{self._repo.repo}: somebody changed {_some(edited)} since it was published. Nothing was sent. Undo "
                f"that on the Hub, or replace it with `python -m stages publish {self._package.slug} --overwrite`."
            )

    def _commit(self, plan: Plan, state: State, ref: str, number: int | None) -> int | None:
        opens = self._entry.pull_request and number is None
        names = repo_names(self._package, self._entry)
        expected = pull_request.next_number(self._repo) if opens else 0
        text = commit_text(self._package)
        if opens:
            text = pull_request_text(self._package, self._entry, self._repo.repo, expected, names)
        operations = self._operations(plan)
        self._sent |= {item.path for item in plan.uploads} | set(plan.deletes)
        self._parent = state.commit
        done = self._repo.commit(operations, title(self._package), text, ref, state.commit, create_pr=opens)
        if not opens:
            if number:
                table = tables(self._package.manifest)
                pull_request.say(self._repo, number, f"Updated to another build.\n\n{table}")
            return number
        opened = int(done.pr_num)
        if opened != expected:
            snippet = try_it(self._package.manifest, self._entry, self._repo.repo, opened, names)
            pull_request.say(self._repo, opened, f"To try it from here:\n\n{snippet}")
        return opened

    def _operations(self, plan: Plan) -> list[Any]:
        from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete

        operations: list[Any] = []
        for item in plan.uploads:
            addition = CommitOperationAdd(item.path, item.origin)
            if addition.upload_info.sha256.hex() != item.sha256:
                raise PublishError(f"{item.origin} changed while it was published. Nothing was sent; run again.")
            operations.append(addition)
        # In somebody else's repo a file that we no longer offer may have been theirs before: it comes back.
        base = self._repo.state(MAIN, {}, {}) if plan.deletes and self._entry.contents == "variants" else None
        for path in plan.deletes:
            if base is not None and self._entry.pull_request and path in base.files:
                operations.append(CommitOperationCopy(path, path, src_revision=base.commit))
                self._restored.add(path)
            else:
                operations.append(CommitOperationDelete(path))
        return operations

    def _prove(self, state: State) -> None:
        """Hash what the Hub gives back, as `publish.read_back` says, and undo the commit where it is damaged."""
        mode = load_params().publish.read_back
        receipt = self._receipt
        known = receipt is not None and receipt.manifest_sha256 == self._package.manifest_sha256
        paths = [] if mode == "hashes" else sorted(self._sent & self._wanted.keys())
        if mode == "all" or (mode == "uploaded" and not self._sent and not known):
            paths = sorted(self._wanted)
        if wrong := self._repo.damaged(self._wanted, paths, state.commit):
            if self._parent:
                self._give_up_damaged(wrong)
            raise PublishError(
                f"{self._repo.repo} at {state.commit}: {_some(wrong)} differs from what was published. No "
                "receipt was written. Delete the file there, then run again."
            )

    def _give_up_damaged(self, wrong: list[str]) -> None:
        """Undo our commit, the one on top of the parent that we named, and raise PublishError."""
        commit = self._repo.child(self._parent, self._ref)
        if commit is not None:
            calls.retrying(calls.settings().retry, also=moved)(self._repo.undo, commit, self._parent, self._ref)
        raise PublishError(
            f"{self._repo.repo}: {_some(wrong)} arrived damaged. The commit was undone: the repo holds what it held "
            "before. No receipt was written. Run again; if it happens again, report it to the Hub."
        )


def _some(paths: list[str]) -> str:
    return ", ".join(paths[:5]) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
