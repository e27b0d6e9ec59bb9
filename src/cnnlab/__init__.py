"""cnnlab: does this change to a network help, at the same cost, for sure?"""

__version__ = "0.1.0"
