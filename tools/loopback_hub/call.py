"""What every handler starts from: the caller, the repo that the path names, and the caller's rights to it."""

import hmac
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import msgspec
from starlette.requests import Request

from . import errors
from .repo import Discussion, Repo, RepoType
from .store import Store
from .tokens import Token

MULTIPART_THRESHOLD = 10_000_000
PART_SIZE = 5 * 1024 * 1024


@dataclass
class Site:
    """What the handlers share: the store, the limits of the upload protocol, the key that signs storage addresses."""

    store: Store
    multipart_threshold: int = MULTIPART_THRESHOLD
    part_size: int = PART_SIZE
    page_size: int = 50
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def signature(self, path: str) -> str:
        """Return the signature that makes a storage address good without a token."""
        return hmac.new(self.key, path.encode(), "sha256").hexdigest()


@dataclass
class Call:
    """A request to a handler, with the token that it carried."""

    site: Site
    request: Request
    token: Token | None

    @property
    def store(self) -> Store:
        """The store."""
        return self.site.store

    @property
    def user(self) -> str:
        """The name of the caller, who must have a token."""
        if self.token is None:
            raise errors.unauthorized()
        return self.token.user

    @property
    def base(self) -> str:
        """The address that the client knows the Hub by."""
        return str(self.request.base_url).rstrip("/")

    def param(self, name: str) -> str:
        """Return a part of the path, decoded."""
        return unquote(str(self.request.path_params[name]))

    def flag(self, name: str) -> bool:
        """Return a yes or no of the query."""
        return self.request.query_params.get(name, "").lower() in ("1", "true")

    async def json(self) -> dict[str, Any]:
        """Return the body, which must be a JSON object."""
        body = await self.request.body()
        try:
            return msgspec.json.decode(body, type=dict[str, Any]) if body else {}
        except msgspec.DecodeError as error:
            raise errors.bad_request(f"Invalid JSON: {error}") from error

    @property
    def repo_type(self) -> RepoType:
        """The type of the repo that the path names."""
        return "dataset" if self.request.url.path.startswith(("/api/datasets/", "/datasets/")) else "model"

    def repo(self) -> Repo:
        """Return the repo that the path names, if the caller may see it."""
        try:
            repo = self.store.repo(f"{self.param('namespace')}/{self.param('name')}", self.repo_type)
        except errors.HubError:
            raise errors.repo_not_found(anonymous=self.token is None) from None
        if repo.private and not (self.token and self.token.member_of(repo.namespace)):
            raise errors.repo_not_found(anonymous=self.token is None)
        return repo

    def revision(self, repo: Repo) -> str:
        """Return the commit that the path's revision stands for."""
        return self.store.resolve(repo, self.param("revision"))

    def require_content(self, repo: Repo) -> None:
        """Refuse a caller who may see a gated repo but not download from it."""
        if repo.gated and not (
            self.token and (self.token.member_of(repo.namespace) or self.token.user in repo.granted)
        ):
            raise errors.gated(repo.id, anonymous=self.token is None)

    def require_login(self) -> Token:
        """Return the caller's token, which must have the right to write somewhere."""
        if self.token is None:
            raise errors.unauthorized()
        if self.token.role != "write":
            raise errors.forbidden()
        return self.token

    def may_write(self, repo: Repo, discussion: Discussion | None = None) -> bool:
        """Tell whether the caller may write to the repo, or is the author of the discussion."""
        token = self.require_login()
        return token.may_write(repo.namespace) or (discussion is not None and discussion.author == token.user)

    def require_write(self, repo: Repo, discussion: Discussion | None = None) -> None:
        """Refuse a caller who may not write to the repo (nor is the author of the discussion)."""
        if not self.may_write(repo, discussion):
            raise errors.forbidden(f"You don't have the rights to write to {repo.id}.")
