from sympy import Idx, IndexedBase, Sum, exp, symbols

d, q, m = symbols("d q m", integer=True)
i, h, j = Idx("i", d), Idx("h", q), Idx("j", m)
x, v, gamma = IndexedBase("x"), IndexedBase("v"), IndexedBase("gamma")
w, theta, y = IndexedBase("w"), IndexedBase("theta"), IndexedBase("y")

alpha = Sum(v[i, h] * x[i], i)
b = 1 / (1 + exp(-(alpha - gamma[h])))
beta = Sum(w[h, j] * b, h)
yhat = 1 / (1 + exp(-(beta - theta[j])))
E = Sum((yhat - y[j]) ** 2, j) / 2
