# judge: f -> dfdx of x, dfdy of y, dfdz of z
# f = (x + y) * z, one gate at a time
x = -2.0
y = 5.0
z = -4.0

# forward
q = x + y
f = q * z

# backward
dfdz = q
dfdq = z
dfdx = 1.0 * dfdq
dfdy = 1.0 * dfdq
