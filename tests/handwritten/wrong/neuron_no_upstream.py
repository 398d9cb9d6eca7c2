# judge: f -> dw of w, dx of x
# expect: line 13, missing-upstream: dw = [x[0] * ddot, x[1] * ddot, 1.0 * ddot]
import math

w = [2, -3, -3]
x = [-1, -2]

dot = w[0] * x[0] + w[1] * x[1] + w[2]
f = 1.0 / (1 + math.exp(-dot))

ddot = (1 - f) * f
dx = [w[0] * ddot, w[1] * ddot]
dw = [x[0], x[1], 1.0]
