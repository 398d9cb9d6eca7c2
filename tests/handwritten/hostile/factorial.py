# refused: 4 5
x = 2.0
y = 3.0
import math
y = math.factorial(10**7)

f = x * y
dx = y
dy = x
