# judge: loss -> dW of W, db of b, dX of X
import numpy as np

X = np.random.normal(size=(4, 3))
W = np.random.normal(size=(3, 5))
b = np.zeros((1, 5))
Y = np.random.normal(size=(4, 5))

Z = np.add(np.matmul(X, W), b)
A = np.divide(1.0, np.add(1.0, np.exp(np.negative(Z))))
E = np.subtract(A, Y)
loss = np.multiply(0.5, np.sum(np.square(E)))

dA = E
dZ = np.multiply(dA, np.multiply(A, np.subtract(1.0, A)))
dW = np.matmul(np.transpose(X), dZ)
db = np.sum(dZ, axis=0, keepdims=True)
dX = np.matmul(dZ, np.transpose(W))
