"""The record of the clients' requests, kept in memory for assertions."""

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass
class Record:
    """One request. It is complete by the time the client has read the response."""

    method: str
    path: str
    query: str
    route: str
    user: str | None
    range: str | None
    status: int | None = None
    bytes_received: int = 0
    bytes_sent: int = 0
    fault: str | None = None


class RequestLog(list[Record]):
    """All requests since the start, or since `clear()`."""

    def matching(self, *routes: str, method: str | None = None, path: str = "*") -> list[Record]:
        """Return the requests to these routes (`lfs_*`), in order."""
        return [
            record
            for record in self
            if any(fnmatchcase(record.route, route) for route in routes or ("*",))
            and method in (None, record.method)
            and fnmatchcase(record.path, path)
        ]

    @property
    def uploads(self) -> list[Record]:
        """The requests that carried the content of large files."""
        return self.matching("lfs_upload", "lfs_part")

    @property
    def uploaded_bytes(self) -> int:
        """How many bytes of large files arrived; content of small files travels in the commit itself."""
        return sum(record.bytes_received for record in self.uploads)
