# refused: 4 5
x = 2.0
y = 3.0
while True:
    y = y + x

f = x * y
dx = y
dy = x
