# refused: 4 5 6 7 8
x = 2.0
y = 3.0
for i in range(10000):
    for j in range(10000):
        for k in range(10000):
            for l in range(10000):
                y = y + x

f = x * y
dx = y
dy = x
