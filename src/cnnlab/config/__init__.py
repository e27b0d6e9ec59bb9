"""The config: composed from the command line, checked before anything heavy is imported."""

from cnnlab.config.check import check
from cnnlab.config.compose import compose
from cnnlab.config.composed import Composed
from cnnlab.config.plain import to_plain

__all__ = ["Composed", "check", "compose", "to_plain"]
