"""What a step reads: rows of packed sets, their order and sizes, as tensors."""
