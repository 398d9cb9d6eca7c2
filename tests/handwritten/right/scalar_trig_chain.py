# judge: z -> dzdt of t, dzdk of k
import math

t = 0.9
k = 1.4

# forward
theta = k * t
c = math.cos(theta)
s = math.sin(theta)
r = math.tanh(s / c)
z = r * t + c**2

# backward
dzdr = t
dzdc = 2 * c
dq = dzdr * (1 - r * r)
dzds = dq / c
dzdc -= dq * s / c**2
dtheta = c * dzds
dtheta -= s * dzdc
dzdk = t * dtheta
dzdt = r + k * dtheta
