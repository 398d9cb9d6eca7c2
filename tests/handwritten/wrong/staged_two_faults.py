# judge: f -> dx of x, dy of y
# expect: line 23, wrong-stage: dxpy = 2 * xpy * dxpysqr
# expect: line 26, overwrites: dx += (1 - sigx) * sigx * dsigx
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
dxpysqr = dden
dxpy = 2 * xpysqr * dxpysqr
dx = dxpy
dy = dxpy
dx = (1 - sigx) * sigx * dsigx
dx += dnum
dsigy = dnum
dy += (1 - sigy) * sigy * dsigy
