"""A Hub on loopback that is this process's only one: nothing waits, nothing leaves this machine."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from tools.loopback_hub import Hub, default_hub, loopback_only, running_hub


@contextlib.contextmanager
def hub_of_this_process(folder: Path) -> Iterator[Hub]:
    """Run a Hub, make it the client's default, and put a token that may write into the environment."""
    no_wait = SimpleNamespace(sleep=lambda _: None)
    with contextlib.ExitStack() as stack:
        for target, value in (
            ("huggingface_hub.utils._http.time", no_wait),
            ("huggingface_hub.file_download.time", no_wait),
            ("stages.hub.calls._sleep", lambda _: None),
            ("stages.core.environment.prepare", lambda **_: None),
        ):
            stack.enter_context(mock.patch(target, value))
        stack.enter_context(loopback_only())
        hub = stack.enter_context(running_hub(folder / "hub", multipart_threshold=1_000_000, part_size=400_000))
        stack.enter_context(default_hub(hub, folder / "home"))
        tokens = {"HF_TOKEN": hub.tokens.write.value, "HUGGING_FACE_HUB_TOKEN": "", "NO_PROXY": "127.0.0.1,localhost"}
        stack.enter_context(mock.patch.dict(os.environ, tokens))
        yield hub
