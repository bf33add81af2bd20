"""Packed and token sets as the files that other trainers read."""
