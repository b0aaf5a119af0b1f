"""Requests to the Hugging Face Hub, and a repository as publishing sees it."""
