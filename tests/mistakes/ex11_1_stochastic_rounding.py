MISTAKES = {
    "rounds to nearest": [("rounded.bfloat16()", "x.bfloat16()")],
    "cuts without noise": [(" + noise)", ")")],
    "tosses a coin whatever the distance": [
        ("2**16, x.shape", "2, x.shape"),
        (" + noise)", " + noise * 0xFFFF)"),
    ],
    "noise of half a unit": [("2**16, x.shape", "2**15, x.shape")],
    "one number for all": [("2**16, x.shape", "2**16, ()")],
    "forgets the generator": [("generator=generator", "generator=None")],
    # then the cast rounds to nearest again, so that values move that bfloat16 holds
    "leaves the cut to the cast": [(" & -(2**16)", "")],
    "turns NaN into numbers": [
        ("torch.where(x.isfinite(), bits.view(torch.float32), x)", "bits.view(torch.float32)")
    ],
    "noise relative to the value": [
        ("rounded.bfloat16()", "(x * (1 + (noise / 2**16 - 0.5) * 2**-6)).bfloat16()")
    ],
    "the shape is lost": [("rounded.bfloat16()", "rounded.bfloat16().flatten()")],
}
