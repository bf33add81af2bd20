"""Part of corpusmill: readers, downloads and recipes."""
