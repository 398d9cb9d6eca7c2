# The staged example with a backward pass by hand, in which one line is wrong.
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

dnum = invden
dinvden = num
dden = (-1.0 / (den**2)) * dinvden
dsigx = dden
dxpy = (2 * xpy) * dden
dx = dxpy
dy = dxpy
dx = (1 - sigx) * sigx * dsigx
dx += dnum
dy += (1 - sigy) * sigy * dnum
