"""`trainer fit`: what one process does from its start to the last save."""
