# judge: np.sum(out * dout) -> dX of X, dWq of Wq, dWk of Wk, dWv of Wv
import numpy as np

T, C, d = 4, 5, 3
X = np.random.randn(T, C)
Wq = np.random.randn(C, d)
Wk = np.random.randn(C, d)
Wv = np.random.randn(C, d)

Q = X @ Wq
K = X @ Wk
V = X @ Wv
S = Q @ K.T / np.sqrt(d)
E = np.exp(S - S.max(axis=1, keepdims=True))
A = E / E.sum(axis=1, keepdims=True)
out = A @ V

dout = np.random.randn(T, d)
dA = dout @ V.T
dV = A.T @ dout
dS = A * (dA - np.sum(dA * A, axis=1, keepdims=True))
dS = dS / np.sqrt(d)
dQ = dS @ K
dK = dS.T @ Q
dWq = X.T @ dQ
dWk = X.T @ dK
dWv = X.T @ dV
dX = dQ @ Wq.T
dX += dK @ Wk.T
dX += dV @ Wv.T
