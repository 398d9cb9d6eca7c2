# judge: np.sum(m * dm) + np.sum(c * dc) -> da of a, db of b
import numpy as np

a = np.random.randn(3, 4)
b = np.random.randn(3, 4)

m = np.maximum(a, b)
c = np.minimum(np.abs(a), 1.5 + b**2)

dm = np.random.randn(3, 4)
dc = np.random.randn(3, 4)
da = np.where(a > b, dm, 0.0)
db = np.where(a > b, 0.0, dm)
first = np.abs(a) < 1.5 + b**2
da += first * dc * np.sign(a)
db += ~first * dc * 2 * b
