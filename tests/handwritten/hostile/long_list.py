# refused: 4
x = 2.0
y = 3.0
y = [0.0] * 10**10

f = x * y
dx = y
dy = x
