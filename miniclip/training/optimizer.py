"""AdamW with moments of 16 bits, rounded at random (CLIP, section 2.5; Dhariwal et al. 2020).

Adam stores two averages for each weight, its moments. In float32 they take 8 of the 12 bytes of a
weight and its moments, and in 16 bits they take half as much. But in one step an average moves only
by (1 - beta) of its distance to the new value. With beta2 = 0.999 the second moment falls by at
most a thousandth of itself, which is less than half a unit in the last place of bfloat16. So
rounding to nearest gives the old value back in every step, and the moment never falls.
Stochastic rounding rounds up with a probability equal to the part that is cut off, in units of the
last place. So the mean of the rounded values is right.

The type is bfloat16, because a gradient of 1e-5 has the square 1e-10, which is zero in float16.
bfloat16 keeps its relative precision there. Left out: AMSGrad, sparse gradients, closures, and the
paper's 16-bit weights of the text tower, which would need `stochastic_round` too.
Lesson: lessons/11_recipe.md.
"""

import math
import operator

import torch

from miniclip.common import described, refuse, refusing


def stochastic_round(x, generator=None):
    """Round x to bfloat16: up or down at random, so that the mean of many draws is x.

    x: float32, any shape. Numbers that bfloat16 can represent, infinities and NaN are not changed.
    A finite number beyond 3.39e38, which is bfloat16's largest, may become infinity. generator: a
    torch.Generator on x's device, or None for the default generator. Raises UserError for another
    dtype.
    """
    refuse(
        {
            f"x must be float32 and a tensor, not {described(x)}": (
                getattr(x, "dtype", None) != torch.float32
            )
        }
    )
    noise = torch.randint(
        0, 2**16, x.shape, dtype=torch.int32, device=x.device, generator=generator
    )
    # bfloat16 is the upper half of float32. Noise that is added to the lower half carries into the
    # upper half with the probability (lower half) / 2^16, also across powers of two. Then the lower
    # half is cut off.
    bits = (x.view(torch.int32) + noise) & -(2**16)
    rounded = torch.where(x.isfinite(), bits.view(torch.float32), x)
    return rounded.bfloat16()


def check_state(state):
    """Raise UserError unless a dict has the form of the state of an AdamW or of a HalfAdamW."""
    with refusing("this is not the state of an AdamW"):
        own = state["state"].values()
        moments = [x[name] for x in own for name in ("exp_avg", "exp_avg_sq")]
        is_whole = all(map(torch.is_tensor, moments)) and all(0 <= float(x["step"]) for x in own)
        refuse(
            {
                "its moments are no tensors, or have no step": not is_whole,
                "it has no betas": not all("betas" in group for group in state["param_groups"]),
            }
        )


def check_group(group):
    """Raise UserError for options of torch's Adam and AdamW that HalfAdamW would ignore."""
    refuse(
        {
            f"HalfAdamW has no {name}={x}": group.get(name) == x
            for name, x in dict(maximize=True, amsgrad=True, decoupled_weight_decay=False).items()
        }
    )


def load_optimizer(optimizer, state, steps):
    """Call optimizer.load_state_dict(state). Raises UserError if `state` has other settings than
    the optimizer, or moments that the optimizer's parameters cannot have after `steps` steps.

    steps: the number of steps that changed the weights. After the first of them every parameter
    that is trained has moments.
    """

    def settings():
        return [
            {name: x for name, x in group.items() if name not in ("params", "lr", "calls")}
            for group in optimizer.param_groups
        ]

    check_state(state)
    before = settings()
    optimizer.load_state_dict(state)
    trained = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    possible = (
        (not steps or all(p in optimizer.state for p in trained))
        and settings() == before
        and all(
            0 <= own["step"] <= steps and x.shape == p.shape and (x.isfinite() & (x >= low)).all()
            for p, own in optimizer.state.items()
            for x, low in ((own["exp_avg"], -math.inf), (own["exp_avg_sq"], 0))
        )
    )
    refuse({"the optimizer's state does not fit these weights and options": not possible})


def _check_dtype(parameters):
    refuse(
        {
            "HalfAdamW needs float32 parameters; call .float() on the model first": any(
                p.dtype != torch.float32 for p in parameters
            )
        }
    )


def _check_options(group):
    options = {name: group[name] for name in ("lr", "eps", "weight_decay", "betas", "seed")}
    *sizes, betas, seed = options.values()
    with refusing(f"these options of HalfAdamW are no numbers: {options}"):
        fit = (
            all(0 <= x < math.inf for x in sizes)
            and 0 <= operator.index(seed) < 2**62
            and len(betas) == 2
            and all(0 <= beta < 1 for beta in betas)
        )
    refuse(
        {
            "lr, eps and weight_decay must be finite and at least 0, betas must be two numbers "
            f"from 0 to below 1, and the seed must be from 0 to below 2**62, not {options}": (
                not fit
            )
        }
    )


class HalfAdamW(torch.optim.Optimizer):
    """torch.optim.AdamW with its two moments in bfloat16: 4 bytes per parameter instead of 8.

    Each step is computed in float32 from the moments before they are rounded, so the rounding
    affects only later steps. The moments are rounded up or down at random (stochastic_round). The
    random numbers depend only on the seed and the number of the step, which are both in state_dict.
    So a resumed run draws the same numbers, and so do all ranks of a DDP run.
    torch's global generators are not used. The parameters must be float32, and all on one device.
    UserError is raised for parameters of another dtype.
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, seed=0):
        super().__init__(
            params,
            dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, seed=seed, calls=0),
        )

    def add_param_group(self, param_group):
        """Add parameters with options of their own, a dict. Raises UserError for wrong options."""
        check_group(param_group)
        _check_options(self.defaults | param_group)
        super().add_param_group(param_group)
        _check_dtype(self.param_groups[-1]["params"])
        self.param_groups[-1]["seed"] = int(self.param_groups[-1]["seed"])  # Python's own

    def load_state_dict(self, state_dict):
        """Load the state of a HalfAdamW, or of torch's AdamW, and keep the moments in bfloat16.
        Raises UserError, and keeps the old state, if it is the state of another optimizer, or of
        one with options that HalfAdamW does not have."""
        check_state(state_dict)
        for group in state_dict["param_groups"]:
            check_group(group)
        ours = [p for group in self.param_groups for p in group["params"]]
        theirs = [i for group in state_dict["param_groups"] for i in group["params"]]
        refuse(
            {
                "these moments have other shapes than the parameters; are they in the same order?": any(
                    state_dict["state"][i][name].shape != p.shape
                    for i, p in zip(theirs, ours)
                    if i in state_dict["state"]
                    for name in ("exp_avg", "exp_avg_sq")
                )
            }
        )
        super().load_state_dict(state_dict)
        for group in self.param_groups:  # AdamW's groups have no seed and no calls
            group |= {"seed": group.get("seed", 0), "calls": group.get("calls", 0)}
        for state in self.state.values():  # torch cast the moments to the parameter's dtype
            state["step"] = int(state["step"])  # AdamW's is a tensor, which both would count up
            for name in ("exp_avg", "exp_avg_sq"):
                state[name] = state[name].bfloat16()  # exact if they were bfloat16 before

    @torch.no_grad()
    def step(self):
        """One AdamW step for every parameter that has a gradient. Raises UserError, and changes
        nothing, if one of the gradients is sparse, if a parameter is no longer float32, or if an
        option was set to a wrong value."""
        given = [p for group in self.param_groups for p in group["params"]]
        refuse(
            {
                "HalfAdamW needs dense gradients; leave out sparse=True": any(
                    p.grad is not None and p.grad.layout != torch.strided for p in given
                )
            }
        )
        _check_dtype(given)
        for group in self.param_groups:
            _check_options(group)
        generator = None
        for group in self.param_groups:
            group["calls"] += 1
            beta1, beta2 = group["betas"]
            for p in (p for p in group["params"] if p.grad is not None):
                seed = int(group["seed"]) + group["calls"]
                generator = generator or torch.Generator(p.device).manual_seed(seed)
                state, grad = self.state[p], p.grad.float()
                if not state:
                    zeros = torch.zeros_like(p, dtype=torch.bfloat16)
                    state.update(step=0, exp_avg=zeros, exp_avg_sq=zeros.clone())
                state["step"] += 1
                mean = state["exp_avg"].float().lerp_(grad, 1 - beta1)
                square = state["exp_avg_sq"].float().mul_(beta2)
                square.addcmul_(grad, grad, value=1 - beta2)
                state["exp_avg"].copy_(stochastic_round(mean, generator))
                state["exp_avg_sq"].copy_(stochastic_round(square, generator))
                # both averages started at zero, so divide each by the total weight of its gradients
                rate = group["lr"] / (1 - beta1 ** state["step"])
                size = square.div_(1 - beta2 ** state["step"]).sqrt_().add_(group["eps"])
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.addcdiv_(mean, size, value=-rate)
