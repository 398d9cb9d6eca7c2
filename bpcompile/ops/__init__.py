"""The table of primitives. Importing this package fills `bpcompile.primitive.REGISTRY`."""

from bpcompile.ops import array, scalar, special

__all__ = ["array", "scalar", "special"]
