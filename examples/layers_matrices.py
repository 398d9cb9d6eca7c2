from sympy import MatrixSymbol, Trace, exp, symbols

n0, n1, n2, n3 = symbols("n0:4", integer=True)


def sigmoid(z):
    return 1 / (1 + exp(-z))


x, y = MatrixSymbol("x", n0, 1), MatrixSymbol("y", n3, 1)
W1, W2, W3 = MatrixSymbol("W1", n1, n0), MatrixSymbol("W2", n2, n1), MatrixSymbol("W3", n3, n2)
b1, b2, b3 = MatrixSymbol("b1", n1, 1), MatrixSymbol("b2", n2, 1), MatrixSymbol("b3", n3, 1)

a1 = (W1 * x + b1).applyfunc(sigmoid)
a2 = (W2 * a1 + b2).applyfunc(sigmoid)
a3 = (W3 * a2 + b3).applyfunc(sigmoid)
e = a3 - y
E = Trace(e.T * e) / 2
