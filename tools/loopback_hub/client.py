"""Points the client of this process at a Hub, where no `endpoint` can be passed."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from huggingface_hub import constants, file_download, hf_api

from .server import Hub


@contextlib.contextmanager
def default_hub(hub: Hub, home: Path) -> Iterator[None]:
    """Make `hub` the default endpoint of this process, and `home` the place of its cache and its saved token.

    The client reads its environment once, at import, so that setting variables here would come too late. A commit
    without changes needs this: the client then builds an address from its `endpoint` and reads it with the default.
    Xet is switched off, as by HF_HUB_DISABLE_XET: where hf_xet is installed, clients since 1.0 upload by no other way.
    """
    template = f"{hub.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    with contextlib.ExitStack() as stack:
        for owner, name, value in (
            (constants, "ENDPOINT", hub.endpoint),
            (constants, "HUGGINGFACE_CO_URL_TEMPLATE", template),
            (hf_api.api, "endpoint", hub.endpoint),
            (constants, "HF_HUB_DISABLE_XET", True),
            (constants, "HF_HOME", str(home)),
            (constants, "HF_HUB_CACHE", str(home / "hub")),
            (constants, "HF_TOKEN_PATH", str(home / "token")),
            (constants, "HF_STORED_TOKENS_PATH", str(home / "stored_tokens")),
        ):
            stack.enter_context(mock.patch.object(owner, name, value))
        if hasattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE"):  # client 0.x has a copy
            stack.enter_context(mock.patch.object(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template))
        yield


def close_sessions() -> None:
    """Make the client open new connections; it remembers whether it was offline when it opened the last ones."""
    import huggingface_hub

    old = getattr(huggingface_hub.utils, "reset_sessions", None)  # client 0.x
    (old or huggingface_hub.close_session)()
