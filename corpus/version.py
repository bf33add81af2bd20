"""The version, for all rooms: the package itself names what lies in them, so none of them imports it."""

__version__ = "0.1.0"
