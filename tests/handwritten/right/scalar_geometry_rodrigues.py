# judge: f -> gkx of kx, gky of ky, gkz of kz, gtheta of theta
# rotate v about the axis k by theta and compare with a target
import math

kx = 0.3
ky = -0.5
kz = 0.9
theta = 0.7
vx, vy, vz = 1.0, 2.0, -0.5
tx, ty, tz = 0.4, 0.1, 1.3

# forward
n2 = kx * kx + ky * ky + kz * kz
n = math.sqrt(n2)
ux = kx / n
uy = ky / n
uz = kz / n
c = math.cos(theta)
s = math.sin(theta)
dotp = ux * vx + uy * vy + uz * vz
crx = uy * vz - uz * vy
cry = uz * vx - ux * vz
crz = ux * vy - uy * vx
w = dotp * (1 - c)
rx = vx * c + crx * s + ux * w
ry = vy * c + cry * s + uy * w
rz = vz * c + crz * s + uz * w
ex = rx - tx
ey = ry - ty
ez = rz - tz
f = 0.5 * (ex * ex + ey * ey + ez * ez)

# backward: the errors are the gradients of the rotated point
gc = ex * vx + ey * vy + ez * vz
gs = ex * crx + ey * cry + ez * crz
gw = ex * ux + ey * uy + ez * uz
gux = ex * w
guy = ey * w
guz = ez * w
gcrx = ex * s
gcry = ey * s
gcrz = ez * s
gdotp = gw * (1 - c)
gc -= gw * dotp
# cross product
guy += vz * gcrx - vx * gcrz
guz += vx * gcry - vy * gcrx
gux += vy * gcrz - vz * gcry
# dot product
gux += vx * gdotp
guy += vy * gdotp
guz += vz * gdotp
# angle
gtheta = gs * c - gc * s
# normalisation
gn = -(gux * kx + guy * ky + guz * kz) / n2
gn2 = gn / (2 * n)
gkx = gux / n + 2 * kx * gn2
gky = guy / n + 2 * ky * gn2
gkz = guz / n + 2 * kz * gn2
