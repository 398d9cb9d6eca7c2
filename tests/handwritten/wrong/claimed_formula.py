# judge: f -> dx of x, dy of y, dz of z
# expect: line 12, sign: dy = x**2 - math.exp(x * z) / y**2
import math

x = 0.8
y = 1.9
z = -0.4

f = x**2 * y + math.exp(x * z) / y

dx = 2 * x * y + z * math.exp(x * z) / y
dy = x**2 + math.exp(x * z) / y**2
dz = x * math.exp(x * z) / y
