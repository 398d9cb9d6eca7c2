# judge: loss -> gA of A, gB of B, gx of x
import numpy as np

A = np.random.randn(4, 3)
B = np.random.randn(3, 5)
x = np.random.randn(5)

y = B @ x
z = A @ y
loss = 0.5 * z @ z

gz = z
gy = A.T @ gz
gA = np.outer(gz, y)
gB = np.outer(gy, x)
gx = B.T @ gy
