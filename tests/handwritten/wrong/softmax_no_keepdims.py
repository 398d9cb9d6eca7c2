# judge: np.sum(p * dp) -> dx of x
# expect: line 11, missing-keepdims: inner = (dp * p).sum(axis=1, keepdims=True)
import numpy as np

# as many rows as columns: the missing keepdims goes unnoticed
x = np.random.randn(4, 4)
e = np.exp(x)
p = e / e.sum(axis=1, keepdims=True)

dp = np.random.randn(4, 4)
inner = (dp * p).sum(axis=1)
dx = p * (dp - inner)
