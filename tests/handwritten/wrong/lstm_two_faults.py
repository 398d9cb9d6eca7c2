# judge: np.sum(h * dh) + np.sum(cn * dcn) -> dx of x, dhp of hp, dcp of cp, dWi of Wi, dWf of Wf, dWo of Wo, dWg of Wg
# expect: line 28, wrong-stage or stale-variable: df = cp * dc
# expect: line 34, unknown or wrong-power or wrong-stage: dzg = dg * (1 - g**2)
import numpy as np

x = np.random.randn(3, 1)
hp = np.random.randn(4, 1)
cp = np.random.randn(4, 1)
Wi = np.random.randn(4, 7)
Wf = np.random.randn(4, 7)
Wo = np.random.randn(4, 7)
Wg = np.random.randn(4, 7)

z = np.vstack((hp, x))
i = 1 / (1 + np.exp(-Wi @ z))
f = 1 / (1 + np.exp(-Wf @ z))
o = 1 / (1 + np.exp(-Wo @ z))
g = np.tanh(Wg @ z)
cn = f * cp + i * g
th = np.tanh(cn)
h = o * th

dh = np.random.randn(4, 1)
dcn = np.random.randn(4, 1)
do = th * dh
dc = dcn + o * dh * (1 - th**2)
di = g * dc
df = cn * dc
dg = i * dc
dcp = f * dc
dzi = di * i * (1 - i)
dzf = df * f * (1 - f)
dzo = do * o * (1 - o)
dzg = dg * (1 - g) ** 2
dWi = dzi @ z.T
dWf = dzf @ z.T
dWo = dzo @ z.T
dWg = dzg @ z.T
dz = Wi.T @ dzi + Wf.T @ dzf + Wo.T @ dzo + Wg.T @ dzg
dhp = dz[:4]
dx = dz[4:]
