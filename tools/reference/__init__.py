"""Reference pages of the documentation, made from the code at every build of the site."""
