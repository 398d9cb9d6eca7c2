from sympy import Idx, IndexedBase, Sum, symbols

H, W, k, l = symbols("H W k l", integer=True)
p, q = Idx("p", H - k + 1), Idx("q", W - l + 1)
i, j = Idx("i", k), Idx("j", l)
x, w = IndexedBase("x", shape=(H, W)), IndexedBase("w", shape=(k, l))

y = Sum(x[p + i, q + j] * w[i, j], i, j)
