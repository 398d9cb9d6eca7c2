# judge: s -> ds_du of u, ds_dv of v
import numpy as np

u = np.random.randn(5)
v = np.random.randn(5)

nu = np.linalg.norm(u)
nv = np.linalg.norm(v)
s = u.dot(v) / (nu * nv)

ds_du = v / (nu * nv) - s * u / nu**2
ds_dv = u / (nu * nv) - s * v / nv**2
