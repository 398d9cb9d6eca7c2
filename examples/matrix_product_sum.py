from sympy import Idx, IndexedBase, Sum

i, j, k = Idx("i", 5), Idx("j", 3), Idx("k", 10)
W, X = IndexedBase("W"), IndexedBase("X")
D = Sum(W[i, k] * X[k, j], k)
