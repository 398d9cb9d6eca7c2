# refused: 4 5
x = 2.0
y = 3.0
from shutil import rmtree
rmtree("SENTINEL")

f = x * y
dx = y
dy = x
