# judge: cost -> grad_center of center, grad_outside of U
# softmax cost of one outside word given the centre word
import numpy as np

V, D = 6, 4
center = np.random.randn(D)
U = np.random.randn(V, D)
o = 2

s = U.dot(center)
s = s - np.max(s)
yhat = np.exp(s) / np.sum(np.exp(s))
cost = -np.log(yhat[o])

delta = yhat.copy()
delta[o] -= 1
grad_center = U.T.dot(delta)
grad_outside = np.outer(delta, center)
