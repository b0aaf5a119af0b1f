"""Access tokens: who the caller is, whether the token may write, and to which namespaces."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from .objects import write_atomically

Role = Literal["read", "write"]

# the members of these are the default users: the examples' namespace and that of params.yaml
_ORGS = ("acme", "artificer")


@dataclass(frozen=True)
class Token:
    """An access token of `user`, who is a member of `orgs`."""

    value: str
    user: str
    role: Role
    orgs: tuple[str, ...] = ()

    def member_of(self, namespace: str) -> bool:
        """Tell whether the user sees the private repos of `namespace`."""
        return namespace == self.user or namespace in self.orgs

    def may_write(self, namespace: str) -> bool:
        """Tell whether this token may commit to the repos of `namespace`."""
        return self.role == "write" and self.member_of(namespace)


class Tokens:
    """The tokens that the Hub accepts; kept in `path` (readable by the owner alone) where one is given."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._tokens: dict[str, Token] = {}
        if path is not None and path.exists():
            self._tokens = {token.value: token for token in msgspec.json.decode(path.read_bytes(), type=list[Token])}
        if not self._tokens:
            self.add("publisher", "write", orgs=_ORGS)
            self.add("reader", "read", orgs=_ORGS)

    def add(self, user: str, role: Role, *, orgs: tuple[str, ...] = ()) -> Token:
        """Issue a token."""
        token = Token(f"hf_{secrets.token_hex(17)}", user, role, orgs)
        self._tokens[token.value] = token
        self._save()
        return token

    def revoke(self, token: Token) -> None:
        """Make a token invalid from the next request on."""
        del self._tokens[token.value]
        self._save()

    def get(self, value: str) -> Token | None:
        """Return the token with this value, if it is valid."""
        return self._tokens.get(value)

    @property
    def write(self) -> Token:
        """The first valid token with the right to write."""
        return next(token for token in self._tokens.values() if token.role == "write")

    @property
    def read(self) -> Token:
        """The first valid token with the right to read only."""
        return next(token for token in self._tokens.values() if token.role == "read")

    def _save(self) -> None:
        if self._path is not None:
            write_atomically(self._path, msgspec.json.encode(list(self._tokens.values())))
