# judge: f -> dx of x, dy of y
# expect: line 14, wrong-power: dx = 3 * x**2 * du
x = 1.4
y = -0.8

u = x**3
v = u * y
f = v + y**2

dv = 1.0
dy = u * dv
dy += 2 * y
du = y * dv
dx = 3 * x * du
