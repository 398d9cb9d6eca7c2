"""The table of primitives. Importing this package fills `bpcompile.primitive.REGISTRY`."""

from bpcompile.ops import array, linalg, scalar, special

__all__ = ["array", "linalg", "scalar", "special"]
