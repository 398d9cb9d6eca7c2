# judge: objective -> dW1 of W1, dW2 of W2
# log-probability of the actions taken, weighted with the advantage
import numpy as np

epx = np.random.randn(5, 4)
action = np.array([1.0, 0.0, 0.0, 1.0, 1.0])
advantage = np.random.randn(5)
W1 = np.random.randn(3, 4)
W2 = np.random.randn(3)

eph = np.maximum(0, np.dot(epx, W1.T))
p = 1.0 / (1.0 + np.exp(-np.dot(eph, W2)))
logp = action * np.log(p) + (1 - action) * np.log(1 - p)
objective = np.sum(logp * advantage)

epdlogp = (action - p) * advantage
dW2 = np.dot(eph.T, epdlogp)
deph = np.outer(epdlogp, W2)
deph[eph <= 0] = 0
dW1 = np.dot(deph.T, epx)
