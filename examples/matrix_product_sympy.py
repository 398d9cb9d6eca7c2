from sympy import MatrixSymbol

W = MatrixSymbol("W", 5, 10)
X = MatrixSymbol("X", 10, 3)
D = W * X
