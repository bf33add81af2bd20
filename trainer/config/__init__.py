"""What a run is: options, settings, the resolved configuration and what it will cost."""
