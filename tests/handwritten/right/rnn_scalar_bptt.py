# judge: loss -> dw of w, du of u, dh0 of h0
import math

w = 0.9
u = -0.6
h0 = 0.2
xs = [1.0, -0.5, 0.3, 0.8]
target = 0.4

hs = [h0]
for x in xs:
    hs.append(math.tanh(w * hs[-1] + u * x))
loss = (hs[-1] - target) ** 2

dw = 0.0
du = 0.0
dh = 2 * (hs[-1] - target)
for t in range(3, -1, -1):
    da = dh * (1 - hs[t + 1] ** 2)
    dw += da * hs[t]
    du += da * xs[t]
    dh = da * w
dh0 = dh
