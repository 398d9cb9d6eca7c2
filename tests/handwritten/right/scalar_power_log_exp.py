# judge: f -> df_dx of x, df_dy of y
import math

x = 1.7
y = 2.3

u = x**3
v = math.log(y)
s = math.sqrt(u + v * v)
e = math.exp(-s)
p = x**y
f = e * p + 1 / u

df_de = p
df_dp = e
df_du = -1 / u**2
df_ds = -e * df_de
df_du += df_ds / (2 * s)
df_dv = df_ds * v / s
df_dx = 3 * x**2 * df_du
df_dx += y * x ** (y - 1) * df_dp
df_dy = p * math.log(x) * df_dp
df_dy += df_dv / y
