"""Signatures of published folders: `model.sig`, by the package model-signing (extra `[signing]`)."""
