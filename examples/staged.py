# f(x, y) = (x + sigmoid(y)) / (sigmoid(x) + (x + y)**2), in stages that are easy to undo.
import math

x = 3
y = -4

sigy = 1.0 / (1 + math.exp(-y))
num = x + sigy
sigx = 1.0 / (1 + math.exp(-x))
xpy = x + y
xpysqr = xpy**2
den = sigx + xpysqr
invden = 1.0 / den
f = num * invden
