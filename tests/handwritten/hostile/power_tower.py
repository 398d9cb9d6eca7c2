# refused: 4
x = 2.0
y = 3.0
y = 9**9**9

f = x * y
dx = y
dy = x
