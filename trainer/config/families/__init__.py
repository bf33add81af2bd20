"""The models by name, one file a paper: shapes and recipes."""
