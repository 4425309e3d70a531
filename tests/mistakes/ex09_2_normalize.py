MISTAKES = {
    "forgets to project": [(".sub_(unit * dot[:, None])", "")],
    "forgets the norm": [(".div_(length[:, None])", "")],
    "multiplies by the norm": [
        ("div_(length[:, None])", "mul_(length.masked_fill(length.isinf(), 0)[:, None])")
    ],
    "row_dot without the factor": [("g_part.mul_(factor)", ""), (".div_(", ".mul_(factor).div_(")],
    "projects onto the row": [("g_part.sub_(unit * dot[:, None])", "(unit * dot[:, None])")],
    "always in the gradient's dtype": [("g if g.dtype == dtype else ", "g if True else ")],
}
