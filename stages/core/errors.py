"""Every error that the builder raises on purpose. `stages.cli` catches them once and exits with their code."""

import re


class BuildError(Exception):
    """The root. The message says where (key path or file), what was expected and found, and what to do."""

    exit_code = 1


class UsageError(BuildError):
    """The command line asks for something that does not exist."""

    exit_code = 2


class RegistryError(BuildError):
    """registry/ or params.yaml is malformed or contradicts itself."""

    exit_code = 3


class SourceError(BuildError):
    """A checkpoint is unsafe, incomplete, or not the one that was pinned."""

    exit_code = 4


class DataError(BuildError):
    """A data set is empty, malformed, or lacks a column."""

    exit_code = 5


class ParityError(BuildError):
    """The plain export does not compute what the reference computes: the build cannot be trusted."""

    exit_code = 6


class PublishError(BuildError):
    """The target could not be written, or holds something that is not ours to replace."""

    exit_code = 7


class ToolchainError(BuildError):
    """A library call that every variant needs has failed."""

    exit_code = 8


class ResourceError(BuildError):
    """The machine has too little memory or disk for what comes next; nothing was started."""

    exit_code = 9


class OutdatedError(BuildError):
    """`update --check` found a source that moved: not a failure, but a script must be able to tell."""

    exit_code = 10


# What onnxruntime puts before the message of an operator.
_OPERATOR = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : Non-zero status code returned while running (\w+) node\. "
    r"Name:'[^']*' Status Message: (/\S+:\d+ )?"
)


def first_line(error: BaseException, *, with_kind: bool = True) -> str:
    """The first line of an error's text, at most 400 characters. Other libraries' messages say little without the kind
    of the error, so that stands before them; `with_kind=False` leaves it out."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
    text = _OPERATOR.sub(r"operator \1: ", text)
    return (f"{type(error).__name__}: {text}" if with_kind else text)[:400]
