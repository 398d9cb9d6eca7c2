# judge: f -> dx of x, dy of y, dz of z, dw of w
x = 3.0
y = -4.0
z = 2.0
w = -1.0

a = x * y
m = max(z, w)
s = a + m
f = 2 * s

df = 1.0
ds = 2.0 * df
da = ds
dm = ds
# the larger one gets everything
dz = dm * (z > w)
dw = dm * (w >= z)
dx = y * da
dy = x * da
