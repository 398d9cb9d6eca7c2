# refused: 4 5
x = 2.0
y = 3.0
async def g():
    await open("SENTINEL", "w")

f = x * y
dx = y
dy = x
