"""The directory of a run, and what is made of it afterwards: plots, traces, texts."""
