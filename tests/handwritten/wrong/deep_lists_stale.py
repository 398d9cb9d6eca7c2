# judge: loss -> gW0 of W0, gW1 of W1, gW2 of W2
# expect: line 18, stale-variable: gW1 = a1.T @ g2
import numpy as np

X = np.random.randn(6, 4)
W0 = np.random.randn(4, 4)
W1 = np.random.randn(4, 4)
W2 = np.random.randn(4, 4)

a1 = np.tanh(X @ W0)
a2 = np.tanh(a1 @ W1)
a3 = np.tanh(a2 @ W2)
loss = 0.5 * np.sum(a3**2)

g3 = a3 * (1 - a3**2)
gW2 = a2.T @ g3
g2 = (g3 @ W2.T) * (1 - a2**2)
gW1 = a1.T @ g3
g1 = (g2 @ W1.T) * (1 - a1**2)
gW0 = X.T @ g1
