# refused: 4 5
x = 2.0
y = 3.0
import numpy as np
y = np.zeros((10**6, 10**6))

f = x * y
dx = y
dy = x
