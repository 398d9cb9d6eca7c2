# judge: np.sum(C * dC) -> dA of A, dB of B
import numpy as np

np.random.seed(42)
np.set_printoptions(precision=3)

A = np.random.rand(3, 4)
B = np.random.rand(4, 2)
C = A @ B
print(f"C has the shape {C.shape}")

dC = np.random.rand(*C.shape)
dA = dC @ B.T
dB = A.T @ dC
assert dA.shape == A.shape, "dA has the wrong shape"
assert dB.shape == B.shape
print("dA =", dA, "dB =", dB)
