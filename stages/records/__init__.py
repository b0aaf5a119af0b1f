"""The structs that pass between stages, each with its loader."""
