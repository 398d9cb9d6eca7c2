# judge: L -> dlogit of logit
import numpy as np

logit = np.random.randn(5)
y = np.array([1.0, 0.0, 1.0, 1.0, 0.0])
gamma = 2.0

p = 1 / (1 + np.exp(-logit))
pt = y * p + (1 - y) * (1 - p)
w = (1 - pt) ** gamma
L = -np.mean(w * np.log(pt))

n = len(y)
dpt = -(w / pt) / n
dpt += gamma * (1 - pt) ** (gamma - 1) * np.log(pt) / n
dp = dpt * (2 * y - 1)
dlogit = dp * p * (1 - p)
