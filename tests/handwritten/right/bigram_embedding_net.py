# judge: loss -> dC of C, dW1 of W1, db1 of b1, dW2 of W2, db2 of b2
# two characters in, the next one out
import numpy as np

n, block, vocab, emb, hidden = 5, 2, 6, 3, 4
Xb = np.array([[0, 1], [3, 3], [2, 5], [4, 0], [1, 1]])
Yb = np.array([2, 0, 5, 1, 3])
C = np.random.randn(vocab, emb)
W1 = np.random.randn(block * emb, hidden)
b1 = np.random.randn(hidden)
W2 = np.random.randn(hidden, vocab)
b2 = np.random.randn(vocab)

emb_x = C[Xb]
embcat = emb_x.reshape(n, block * emb)
hpre = embcat @ W1 + b1
h = np.tanh(hpre)
logits = h @ W2 + b2
logit_maxes = logits.max(axis=1, keepdims=True)
norm_logits = logits - logit_maxes
counts = np.exp(norm_logits)
counts_sum = counts.sum(axis=1, keepdims=True)
counts_sum_inv = counts_sum**-1
probs = counts * counts_sum_inv
logprobs = np.log(probs)
loss = -logprobs[range(n), Yb].mean()

dlogprobs = np.zeros_like(logprobs)
dlogprobs[range(n), Yb] = -1.0 / n
dprobs = (1.0 / probs) * dlogprobs
dcounts_sum_inv = (counts * dprobs).sum(axis=1, keepdims=True)
dcounts = counts_sum_inv * dprobs
dcounts_sum = (-(counts_sum**-2)) * dcounts_sum_inv
dcounts += np.ones_like(counts) * dcounts_sum
dnorm_logits = counts * dcounts
dlogits = dnorm_logits.copy()
dh = dlogits @ W2.T
dW2 = h.T @ dlogits
db2 = dlogits.sum(axis=0)
dhpre = (1.0 - h**2) * dh
dembcat = dhpre @ W1.T
dW1 = embcat.T @ dhpre
db1 = dhpre.sum(axis=0)
demb = dembcat.reshape(emb_x.shape)
dC = np.zeros_like(C)
for k in range(n):
    for j in range(block):
        dC[Xb[k, j]] += demb[k, j]
