"""Questions about scale: how large, how long, which batch, which mixture, what was memorized."""
