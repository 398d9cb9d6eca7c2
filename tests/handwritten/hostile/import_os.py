# refused: 4 5
x = 2.0
y = 3.0
import os
os.system("touch SENTINEL")

f = x * y
dx = y
dy = x
