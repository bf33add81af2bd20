"""Loss spikes: how they are noticed, and the log of what is skipped because of them."""
