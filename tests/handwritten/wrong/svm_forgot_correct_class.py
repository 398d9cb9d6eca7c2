# judge: loss -> dx of x
# expect: line 15, unknown or missing-branch or missing-sum: dx[np.arange(N), y] -= np.sum(margins > 0, axis=1)
import numpy as np

N = 4
x = np.random.randn(N, 3)
y = np.array([2, 0, 1, 1])

correct = x[np.arange(N), y]
margins = np.maximum(0, x - correct[:, None] + 1)
margins[np.arange(N), y] = 0
loss = margins.sum() / N

dx = (margins > 0) * 1.0
dx[np.arange(N), y] -= 1
dx = dx / N
