"""Passes: programs to programs, one a file, each with a Before and an After that its docstring proves."""
