from sympy import MatrixSymbol, det, log, symbols

n = symbols("n", integer=True)
S = MatrixSymbol("S", n, n)
x = MatrixSymbol("x", n, 1)
mu = MatrixSymbol("mu", n, 1)

r = x - mu
logdet = log(det(S))
dist = (r.T * S.I * r)[0, 0]
f = -(logdet + dist) / 2

at = {S: [[2, 1], [1, 3]], x: [[1], [-1]], mu: [[0.5], [0.25]]}
