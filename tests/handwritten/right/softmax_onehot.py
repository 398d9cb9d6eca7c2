# judge: loss -> dlogits of logits
import numpy as np

N, C = 5, 3
logits = np.random.randn(N, C)
labels = np.array([0, 2, 1, 1, 0])

onehot = np.zeros((N, C))
onehot[np.arange(N), labels] = 1.0
e = np.exp(logits)
p = e / e.sum(axis=1, keepdims=True)
loss = -(onehot * np.log(p)).sum() / N

# the long way round, without the well-known shortcut
dlogp = -onehot / N
dp = dlogp / p
dsum = -(dp * e).sum(axis=1, keepdims=True) / e.sum(axis=1, keepdims=True) ** 2
de = dp / e.sum(axis=1, keepdims=True) + dsum
dlogits = de * e
