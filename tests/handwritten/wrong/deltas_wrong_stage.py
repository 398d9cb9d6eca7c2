# judge: C -> nabla_w1 of w1, nabla_b1 of b1, nabla_w2 of w2, nabla_b2 of b2
# expect: line 28, wrong-stage: delta1 = np.dot(w2.T, delta2) * sigma_prime(z1)
import numpy as np


def sigma(z):
    return 1.0 / (1.0 + np.exp(-z))


def sigma_prime(z):
    return sigma(z) * (1 - sigma(z))


a0 = np.random.randn(3, 1)
y = np.random.randn(2, 1)
w1, b1 = np.random.randn(4, 3), np.random.randn(4, 1)
w2, b2 = np.random.randn(2, 4), np.random.randn(2, 1)

z1 = np.dot(w1, a0) + b1
a1 = sigma(z1)
z2 = np.dot(w2, a1) + b2
a2 = sigma(z2)
C = 0.5 * np.sum((a2 - y) ** 2)

delta2 = (a2 - y) * sigma_prime(z2)
nabla_b2 = delta2
nabla_w2 = np.dot(delta2, a1.T)
delta1 = np.dot(w2.T, delta2) * sigma_prime(a1)
nabla_b1 = delta1
nabla_w1 = np.dot(delta1, a0.T)
