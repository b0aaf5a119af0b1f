"""`python -m stages`. Guarded, because the benchmark's worker processes import this module again."""

import sys

from stages.cli import main

if __name__ == "__main__":
    sys.exit(main())
