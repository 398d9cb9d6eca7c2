# judge: loss -> dWf of Wf, dWi of Wi, dWo of Wo, dWc of Wc, dbf of bf, dbi of bi, dbo of bo, dbc of bc
# an LSTM over three steps, column vectors, the loss is the squared distance of the last state from a target
import numpy as np

T, D, H = 3, 2, 4
X = np.random.randn(T, D, 1)
target = np.random.randn(H, 1)
Wf = np.random.randn(H, H + D) * 0.5
Wi = np.random.randn(H, H + D) * 0.5
Wo = np.random.randn(H, H + D) * 0.5
Wc = np.random.randn(H, H + D) * 0.5
bf = np.random.randn(H, 1) * 0.1
bi = np.random.randn(H, 1) * 0.1
bo = np.random.randn(H, 1) * 0.1
bc = np.random.randn(H, 1) * 0.1

z, f, i, o, g, c, h = {}, {}, {}, {}, {}, {}, {}
h[-1] = np.zeros((H, 1))
c[-1] = np.zeros((H, 1))
for t in range(T):
    z[t] = np.vstack((h[t - 1], X[t]))
    f[t] = 1 / (1 + np.exp(-(Wf @ z[t] + bf)))
    i[t] = 1 / (1 + np.exp(-(Wi @ z[t] + bi)))
    o[t] = 1 / (1 + np.exp(-(Wo @ z[t] + bo)))
    g[t] = np.tanh(Wc @ z[t] + bc)
    c[t] = f[t] * c[t - 1] + i[t] * g[t]
    h[t] = o[t] * np.tanh(c[t])
loss = 0.5 * np.sum((h[T - 1] - target) ** 2)

dWf, dWi, dWo, dWc = np.zeros_like(Wf), np.zeros_like(Wi), np.zeros_like(Wo), np.zeros_like(Wc)
dbf, dbi, dbo, dbc = np.zeros_like(bf), np.zeros_like(bi), np.zeros_like(bo), np.zeros_like(bc)
dh = h[T - 1] - target
dc = np.zeros((H, 1))
for t in reversed(range(T)):
    tanhc = np.tanh(c[t])
    do = dh * tanhc
    dc = dc + dh * o[t] * (1 - tanhc**2)
    df = dc * c[t - 1]
    di = dc * g[t]
    dg = dc * i[t]
    # before the activations
    dof = df * f[t] * (1 - f[t])
    doi = di * i[t] * (1 - i[t])
    doo = do * o[t] * (1 - o[t])
    dog = dg * (1 - g[t] ** 2)
    dWf += dof @ z[t].T
    dWi += doi @ z[t].T
    dWo += doo @ z[t].T
    dWc += dog @ z[t].T
    dbf += dof
    dbi += doi
    dbo += doo
    dbc += dog
    dz = Wf.T @ dof + Wi.T @ doi + Wo.T @ doo + Wc.T @ dog
    dh = dz[:H]
    dc = dc * f[t]
