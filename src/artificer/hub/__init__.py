"""Published repositories and the index of models on the Hugging Face Hub."""
