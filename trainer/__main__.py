"""`python -m trainer`, and under torchrun `torchrun -m trainer`."""

from trainer.cli import main

main(prog_name="trainer")
