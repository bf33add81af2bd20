"""How good a model is: perplexity on validation sets."""
