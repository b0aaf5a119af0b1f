"""A Hub on loopback: it speaks the protocol of the Hugging Face Hub to the unmodified client, and fails on demand."""

from .client import close_sessions, default_hub
from .faults import Fault, FaultKind, Target
from .guard import forbid_foreign_sockets, loopback_only
from .log import Record, RequestLog
from .objects import Entry, Tree
from .server import Hub, running_hub
from .store import Store
from .tokens import Token, Tokens

__all__ = [
    "Entry",
    "Fault",
    "FaultKind",
    "Hub",
    "Record",
    "RequestLog",
    "Store",
    "Target",
    "Token",
    "Tokens",
    "Tree",
    "close_sessions",
    "default_hub",
    "forbid_foreign_sockets",
    "loopback_only",
    "running_hub",
]
