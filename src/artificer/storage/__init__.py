"""Where this package keeps files of its own, and how it writes them."""
