"""How a model knows positions, one file a kind."""
