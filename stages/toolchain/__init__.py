"""Calls of the libraries that build graphs, one room per backend."""
