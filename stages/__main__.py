"""`python -m stages`. All of it is guarded, because every child process runs this module again."""

if __name__ == "__main__":
    import gc
    import sys

    from stages.cli import main

    code = main()
    gc.freeze()  # without this, the last garbage collection takes 1 to 2 seconds
    sys.exit(code)
