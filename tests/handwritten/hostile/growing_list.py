# refused: 4 5 6 7
x = 2.0
y = 3.0
a = [x]
for i in range(60):
    a = a + a
y = a[0]

f = x * y
dx = y
dy = x
