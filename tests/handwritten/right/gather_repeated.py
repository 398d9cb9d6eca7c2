# judge: loss -> dtable of table, dw of w
import numpy as np

table = np.random.randn(5, 3)
w = np.random.randn(3)
idx = np.array([0, 3, 3, 1])

rows = table[idx]
s = rows.dot(w)
loss = np.sum(s**3)

ds = 3 * s**2
dw = rows.T.dot(ds)
drows = np.outer(ds, w)
dtable = np.zeros((5, 3))
for k in range(4):
    dtable[idx[k]] += drows[k]
