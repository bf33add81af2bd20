"""`trainer report` and `trainer compare`: runs as pages, from their directories alone."""
