# judge: np.sum(D * dD) -> dW of W, dX of X
# expect: line 11, transpose: dW = dD.dot(X.T)
import numpy as np

# everything square, so that NumPy never complains
W = np.random.randn(4, 4)
X = np.random.randn(4, 4)
D = W.dot(X)

dD = np.random.randn(*D.shape)
dW = dD.dot(X)
dX = W.T.dot(dD)
