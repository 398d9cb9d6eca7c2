# refused: 4 5
x = 2.0
y = 3.0
for i in range(10**12):
    y = y + x

f = x * y
dx = y
dy = x
