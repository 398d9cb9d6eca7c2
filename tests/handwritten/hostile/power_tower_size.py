# refused: 4 5
x = 2.0
y = 3.0
n = 10**10**10
y = np.zeros(n)

f = x * y
dx = y
dy = x
