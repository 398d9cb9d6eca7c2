# judge: loss -> g[0] of a, g[1] of b, g[2] of c
import math

a, b, c = 0.4, -1.2, 0.9
xs = [0.5, 1.0, 1.5]
ts = [0.2, -0.3, 0.8]

ys = [a * x**2 + b * x + c for x in xs]
loss = sum((y - t) ** 2 for y, t in zip(ys, ts))

dys = [2 * (y - t) for y, t in zip(ys, ts)]
ga = sum(dy * x**2 for dy, x in zip(dys, xs))
gb = sum(dy * x for dy, x in zip(dys, xs))
gc = sum(dys)
g = [ga, gb, gc]
