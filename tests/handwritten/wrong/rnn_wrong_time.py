# judge: loss -> dWxh of Wxh, dWhh of Whh, dWhy of Why, dbh of bh, dby of by
# expect: line 39, stale-variable or wrong-stage: dWhh += draw @ hs[t - 1].T
import numpy as np

inputs, targets = [1, 0, 2], [0, 2, 3]
V, H = 4, 3
Wxh = np.random.randn(H, V)
Whh = np.random.randn(H, H)
Why = np.random.randn(V, H)
bh = np.random.randn(H, 1)
by = np.random.randn(V, 1)

xs, hs, ps = {}, {}, {}
hs[-1] = 0.1 * np.ones((H, 1))
loss = 0
for t in range(3):
    xs[t] = np.zeros((V, 1))
    xs[t][inputs[t]] = 1
    hs[t] = np.tanh(Wxh @ xs[t] + Whh @ hs[t - 1] + bh)
    y = Why @ hs[t] + by
    ps[t] = np.exp(y) / np.sum(np.exp(y))
    loss -= np.log(ps[t][targets[t], 0])

dWxh = np.zeros_like(Wxh)
dWhh = np.zeros_like(Whh)
dWhy = np.zeros_like(Why)
dbh = np.zeros_like(bh)
dby = np.zeros_like(by)
dhnext = np.zeros((H, 1))
for t in reversed(range(3)):
    dy = ps[t].copy()
    dy[targets[t]] -= 1
    dWhy += dy @ hs[t].T
    dby += dy
    dh = Why.T @ dy + dhnext
    draw = (1 - hs[t] ** 2) * dh
    dbh += draw
    dWxh += draw @ xs[t].T
    dWhh += draw @ hs[t].T
    dhnext = Whh.T @ draw
