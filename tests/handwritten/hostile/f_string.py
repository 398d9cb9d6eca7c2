# refused: 4
x = 2.0
y = 3.0
y = f"{open('SENTINEL', 'w')}"

f = x * y
dx = y
dy = x
