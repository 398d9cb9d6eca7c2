# judge: np.sum(z * dz) -> dx of x
import numpy as np

n, d = 6, 3
x = np.random.randn(n, d)

mean = x.sum(0, keepdims=True) / n
diff = x - mean
var = (diff**2).sum(0, keepdims=True) / (n - 1)
inv = (var + 1e-5) ** -0.5
z = diff * inv

dz = np.random.randn(n, d)
dinv = (diff * dz).sum(0, keepdims=True)
ddiff = inv * dz
dvar = -0.5 * (var + 1e-5) ** -1.5 * dinv
ddiff += 2.0 / (n - 1) * diff * dvar
dmean = -ddiff.sum(0, keepdims=True)
dx = ddiff.copy()
dx += np.ones_like(x) / n * dmean
