# refused: 4 5
x = 2.0
y = 3.0
import numpy as np
np.sum = open

f = x * y
dx = y
dy = x
