# harmless: it is marked at small sizes
x = 2.0
y = 3.0
import numpy as np
a = np.random.randn(100000)
b = np.outer(a, a)
c = np.einsum("ij,kl->ijkl", b, b)
y = np.sum(c)

f = x * y
dx = y
dy = x
