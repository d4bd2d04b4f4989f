"""`python -m amtts_cli`, for torchrun."""

from amtts_cli.app import main

main()
