"""`python -m tools.loopback_hub --root DIR --port N`: a Hub in the foreground, until Ctrl-C."""

import argparse
import contextlib
from pathlib import Path

import uvicorn

from .call import Site
from .server import alone, make_service
from .store import Store
from .tokens import Tokens


def main() -> None:
    """Run a Hub and say how to reach it."""
    parser = argparse.ArgumentParser(prog="python -m tools.loopback_hub", description="A Hugging Face Hub on loopback.")
    parser.add_argument("--root", type=Path, required=True, help="folder that keeps repos and tokens between runs")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; an unused one if omitted")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(alone(arguments.root))
            tokens = Tokens(arguments.root / "tokens.json")
            service = make_service(Site(Store(arguments.root)), tokens, port=arguments.port)
        except (OSError, OverflowError, RuntimeError) as error:
            parser.error(str(error))
        print(f"export HF_ENDPOINT={service.hub.endpoint}")
        print(f"export HF_TOKEN={tokens.write.value}")
        print("export HF_HUB_DISABLE_XET=1")
        print(f"# {tokens.write.user} may write to: {', '.join((tokens.write.user, *tokens.write.orgs))}")
        print(f"# {tokens.read.user} may only read: HF_TOKEN={tokens.read.value}", flush=True)
        stack.enter_context(contextlib.suppress(KeyboardInterrupt))
        uvicorn.Server(service.config).run(sockets=[service.listener])


if __name__ == "__main__":
    main()
