# refused: 4 5
x = 2.0
y = 3.0
import numpy as np
y = np.repeat(x, 10**12)

f = x * y
dx = y
dy = x
