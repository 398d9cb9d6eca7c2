# A neuron with two inputs: the sigmoid of a dot product with a bias.
import math

w = [2, -3, -3]
x = [-1, -2]

dot = w[0] * x[0] + w[1] * x[1] + w[2]
f = 1.0 / (1 + math.exp(-dot))
