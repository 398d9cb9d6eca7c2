# judge: J -> dJ_dW of W, dJ_db of b
# gradient of the cross-entropy cost, one number at a time
import math

W = [0.2, -0.5, 0.1]
b = 0.05
data = [([1.0, 2.0, -1.0], 1), ([0.5, -0.3, 0.8], 0), ([-1.2, 0.4, 0.6], 1)]

J = 0.0
dJ_dW = [0.0, 0.0, 0.0]
dJ_db = 0.0
for x, y in data:
    z = b
    for j in range(3):
        z += W[j] * x[j]
    p = 1 / (1 + math.exp(-z))
    J += -(y * math.log(p) + (1 - y) * math.log(1 - p))
    dz = p - y
    for j in range(3):
        dJ_dW[j] += dz * x[j]
    dJ_db += dz
J /= 3
dJ_db /= 3
dJ_dW = [g / 3 for g in dJ_dW]
