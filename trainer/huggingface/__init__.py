"""How classes of Hugging Face's transformers say the shapes and name the weights of our models, one file a class."""
