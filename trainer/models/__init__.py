"""Model shapes as data (`presets`, `shape`) and the small modules that they configure."""
