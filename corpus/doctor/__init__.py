"""What this machine and this environment have, lack, and what is wrong with them: `corpus doctor`."""
