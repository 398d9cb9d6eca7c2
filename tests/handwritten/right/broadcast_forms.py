# judge: np.sum(out * dout) -> da of a, db of b, dc of c, ds of s
import numpy as np

a = np.random.randn(4, 1)
b = np.random.randn(1, 5)
c = np.random.randn(5)
s = 1.7

ab = a * b
t = ab + c
out = s * t

dout = np.random.randn(4, 5)
ds = np.sum(dout * t)
dt = s * dout
dc = dt.sum(axis=0)
dab = dt
da = np.sum(dab * b, axis=1, keepdims=True)
db = (dab * a).sum(axis=0)[np.newaxis, :]
