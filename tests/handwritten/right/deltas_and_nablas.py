# judge: C -> nabla_w1 of w1, nabla_b1 of b1, nabla_w2 of w2, nabla_b2 of b2, nabla_w3 of w3, nabla_b3 of b3
# column vectors and deltas, as in the book
import numpy as np


def sigma(z):
    return 1.0 / (1.0 + np.exp(-z))


def sigma_prime(z):
    return sigma(z) * (1 - sigma(z))


a0 = np.random.randn(3, 1)
y = np.random.randn(2, 1)
w1, b1 = np.random.randn(4, 3), np.random.randn(4, 1)
w2, b2 = np.random.randn(5, 4), np.random.randn(5, 1)
w3, b3 = np.random.randn(2, 5), np.random.randn(2, 1)

z1 = np.dot(w1, a0) + b1
a1 = sigma(z1)
z2 = np.dot(w2, a1) + b2
a2 = sigma(z2)
z3 = np.dot(w3, a2) + b3
a3 = sigma(z3)
C = 0.5 * np.sum((a3 - y) ** 2)

delta3 = (a3 - y) * sigma_prime(z3)
nabla_b3 = delta3
nabla_w3 = np.dot(delta3, a2.transpose())
delta2 = np.dot(w3.transpose(), delta3) * sigma_prime(z2)
nabla_b2 = delta2
nabla_w2 = np.dot(delta2, a1.transpose())
delta1 = np.dot(w2.transpose(), delta2) * sigma_prime(z1)
nabla_b1 = delta1
nabla_w1 = np.dot(delta1, a0.transpose())
