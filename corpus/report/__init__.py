"""`corpus report` and `corpus compare`: a run of a recipe as a page, from its manifests, trails and samples."""
