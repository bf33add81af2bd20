"""The shape of a language model, and the small modules that it configures."""
