# judge: np.sum(out * dout) -> dx of x, dy of y, dW of W
import numpy as np

x = np.random.randn(4, 2)
y = np.random.randn(4, 3)
W = np.random.randn(5, 6)

joined = np.concatenate([x, y], axis=1)
out = joined.dot(W)

dout = np.random.randn(4, 6)
djoined = dout.dot(W.T)
dW = joined.T.dot(dout)
dx = djoined[:, :2]
dy = djoined[:, 2:]
