# judge: cost -> gradPred of predicted, grad of outputVectors
import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def neg_sampling_cost(predicted, target, outputVectors, indices):
    """predicted: (D,), outputVectors: (V, D), indices: list of words, repetitions allowed"""
    grad = np.zeros(outputVectors.shape)
    gradPred = np.zeros(predicted.shape)
    cost = 0
    z = sigmoid(outputVectors[target].dot(predicted))
    cost -= np.log(z)
    gradPred += outputVectors[target] * (z - 1.0)
    grad[target] += predicted * (z - 1.0)
    for k in indices:
        z = sigmoid(outputVectors[k].dot(predicted))
        cost -= np.log(1.0 - z)
        gradPred += outputVectors[k] * z
        grad[k] += predicted * z
    return cost, gradPred, grad


predicted = np.random.randn(4)
outputVectors = np.random.randn(5, 4)
cost, gradPred, grad = neg_sampling_cost(predicted, 1, outputVectors, [0, 3, 3, 4])
