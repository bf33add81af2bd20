"""What is trained of a model besides, or in the place of, its own weights: low-rank adapters, soft prompts."""
