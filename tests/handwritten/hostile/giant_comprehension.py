# refused: 4
x = 2.0
y = 3.0
y = sum([x * i for i in range(10**9)])

f = x * y
dx = y
dy = x
