"""`python -m cnnlab VERB`."""

import os
import sys

from cnnlab.cli import main

try:
    main()
    sys.stdout.flush()
except BrokenPipeError:  # whoever read the output (head) has enough
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)
