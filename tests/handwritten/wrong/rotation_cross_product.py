# judge: f -> gux of ux, guy of uy, guz of uz
# expect: line 16, sign: guy = vz * gcx - vx * gcz
# how far the cross product is from a target
ux, uy, uz = 0.3, -0.7, 1.1
vx, vy, vz = 1.0, 2.0, -0.5

cx = uy * vz - uz * vy
cy = uz * vx - ux * vz
cz = ux * vy - uy * vx
f = 0.5 * ((cx - 1) ** 2 + cy**2 + (cz + 2) ** 2)

gcx = cx - 1
gcy = cy
gcz = cz + 2
gux = vy * gcz - vz * gcy
guy = vz * gcx + vx * gcz
guz = vx * gcy - vy * gcx
