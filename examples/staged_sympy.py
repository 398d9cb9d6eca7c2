# The staged example as SymPy expressions: the names of the module are the stages.
from sympy import exp, symbols

x, y = symbols("x y")
at = {x: 3, y: -4}

sigy = 1 / (1 + exp(-y))
num = x + sigy
sigx = 1 / (1 + exp(-x))
xpy = x + y
xpysqr = xpy**2
den = sigx + xpysqr
invden = 1 / den
f = num * invden
