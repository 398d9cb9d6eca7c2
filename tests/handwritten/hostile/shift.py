# refused: 4
x = 2.0
y = 3.0
y = 1 << (1 << 40)

f = x * y
dx = y
dy = x
