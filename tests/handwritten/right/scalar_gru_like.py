# judge: h1 * dh1 -> dx of x, dh0 of h0, dwz of wz, duz of uz, dwh of wh, duh of uh
import math

x = 0.5
h0 = -0.3
wz, uz = 0.8, -1.2
wh, uh = 1.1, 0.4
dh1 = 1.7

z = 1 / (1 + math.exp(-(wz * x + uz * h0)))
hc = math.tanh(wh * x + uh * h0)
h1 = (1 - z) * h0 + z * hc

dz = dh1 * (hc - h0)
dhc = dh1 * z
dh0 = dh1 * (1 - z)
daz = dz * z * (1 - z)
dah = dhc * (1 - hc**2)
dwz = daz * x
duz = daz * h0
dwh = dah * x
duh = dah * h0
dx = daz * wz + dah * wh
dh0 += daz * uz + dah * uh
