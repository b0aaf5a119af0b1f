"""What the libraries that build graphs are told, one room a backend."""
