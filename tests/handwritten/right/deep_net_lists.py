# judge: loss -> gW0 of W0, gW1 of W1, gW2 of W2
import numpy as np

X = np.random.randn(5, 3)
T = np.random.randn(5, 2)
W0 = np.random.randn(3, 4)
W1 = np.random.randn(4, 6)
W2 = np.random.randn(6, 2)
weights = [W0, W1, W2]

acts = [X]
for W in weights:
    acts.append(np.tanh(acts[-1] @ W))
loss = np.mean((acts[-1] - T) ** 2)

g = 2 * (acts[-1] - T) / T.size
gws = []
for k in (2, 1, 0):
    g = g * (1 - acts[k + 1] ** 2)
    gws.append(acts[k].T @ g)
    g = g @ weights[k].T
gW2, gW1, gW0 = gws
