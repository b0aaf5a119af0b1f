"""`python -m tools.compat [ROW …] [--large]`: one line per row; the exit code is 1 where one failed."""

import argparse
import sys

from tools.compat.environments import FOLDER, CommandError, build_published, build_wheel, make_environment
from tools.compat.matrix import interpreter, read_rows
from tools.compat.scenario import run_steps


def main(arguments: list[str] | None = None) -> int:
    """Run the requested rows, or all except the large ones."""
    rows = read_rows()
    parser = argparse.ArgumentParser(prog="python -m tools.compat", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"default: all but large ones. Known: {', '.join(rows)}")
    parser.add_argument("--large", action="store_true", help="run the rows that take gigabytes, too")
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.rows if name not in rows]:
        parser.error(f"no row {', '.join(unknown)}; known: {', '.join(rows)}")
    chosen = [rows[name] for name in given.rows] or [row for row in rows.values() if given.large or not row.large]
    FOLDER.mkdir(exist_ok=True)
    wheel, published = build_wheel(), build_published()
    failed = 0
    for row in chosen:
        python = interpreter(row.python)
        if python is None:
            print(f"{row.name}: skipped: there is no Python {row.python} here", flush=True)
            continue
        passed: list[str] = []
        try:
            own = make_environment(row, python, wheel)
            passed.extend(f"{step} {seconds:.1f} s" for step, seconds in run_steps(own, published))
        except CommandError as error:
            failed += 1
            print(f"{row.name}: FAILED after {', '.join(passed) or 'nothing'}: {error}", flush=True)
        else:
            print(f"{row.name}: passed ({', '.join(passed)})", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
