"""`python -m cnnlab VERB`."""

from cnnlab.cli import main

main()
