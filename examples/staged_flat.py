# The staged example in one expression: bpcompile finds the stages and their names.
from sympy import exp, symbols

x, y = symbols("x y")
at = {x: 3, y: -4}

f = (x + 1 / (1 + exp(-y))) / (1 / (1 + exp(-x)) + (x + y) ** 2)
