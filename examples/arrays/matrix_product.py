"""The product of two matrices: each gradient is a product with the transpose of the other factor."""

import numpy as np

W = np.random.randn(5, 10)
X = np.random.randn(10, 3)
D = W.dot(X)
