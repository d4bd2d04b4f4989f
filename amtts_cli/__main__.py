"""`python -m amtts_cli`, for torchrun."""

import sys

from amtts_cli.app import main

INTERRUPTED = (129, 130, 143)

try:
    main()
except SystemExit as leaving:
    # A process that failed leaves at once: its connections may wait for others, and torchrun stops those.
    if leaving.code in (None, 0, *INTERRUPTED) and "amtts_core.training.distributed.processes" in sys.modules:
        sys.modules["amtts_core.training.distributed.processes"].end_processes()
    raise
