"""`python -m stages`. Guarded, because the benchmark's worker processes import this module again."""

import gc
import sys

from stages.cli import main

if __name__ == "__main__":
    code = main()
    gc.freeze()  # else the interpreter searches all objects of the toolchain as it ends, which takes 1 to 2 seconds
    sys.exit(code)
