"""Many processes at one run: ranks, sharded tensors, the model over both."""
