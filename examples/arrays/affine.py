"""A fully connected layer of any input: everything after the first axis is flattened."""


def affine(x: "N C H W", w: "C*H*W M", b: "M"):
    out = x.reshape(x.shape[0], -1) @ w + b
    return out
