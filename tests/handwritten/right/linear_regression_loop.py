# judge: cost -> dtheta of theta
# gradients added up one example at a time
import numpy as np

X = np.random.randn(5, 3)
y = np.random.randn(5)
theta = np.random.randn(3)

cost = 0.0
for i in range(5):
    cost += 0.5 * (X[i].dot(theta) - y[i]) ** 2
cost = cost / 5

dtheta = np.zeros(3)
for i in range(5):
    err = X[i].dot(theta) - y[i]
    for j in range(3):
        dtheta[j] += err * X[i, j] / 5
