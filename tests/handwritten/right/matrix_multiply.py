# judge: np.sum(D * dD) -> dW of W, dX of X
import numpy as np

# forward pass
W = np.random.randn(5, 10)
X = np.random.randn(10, 3)
D = W.dot(X)

# suppose we had the gradient on D from above in the circuit
dD = np.random.randn(*D.shape)
dW = dD.dot(X.T)
dX = W.T.dot(dD)
