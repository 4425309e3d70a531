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

HINTED = {
    "forgets to project": "test_it_is_what_autograd_says",
    "forgets the norm": "test_it_is_what_autograd_says",
    "row_dot without the factor": "test_row_dot_is_each_row_s_part_of_the_scale_s_gradient",
    "always in the gradient's dtype": "test_it_comes_in_the_dtype_of_the_feature",
}
KEYS = ["unit * dot[:, None]", "div_(length[:, None])"]
