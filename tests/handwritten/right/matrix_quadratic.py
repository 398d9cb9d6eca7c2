# judge: f -> dA of A, dx of x, dc of c
import numpy as np

A = np.random.randn(4, 4)
x = np.random.randn(4)
c = np.random.randn(4)

Ax = A.dot(x)
quad = x.dot(Ax)
lin = c.dot(x)
f = 0.5 * quad + lin

dquad = 0.5
dx = dquad * Ax
dAx = dquad * x
dA = np.outer(dAx, x)
dx += A.T.dot(dAx)
dx += c
dc = x.copy()
