"""CLIP from scratch, to be read, run and trusted (Radford et al. 2021)."""

_HOMES = {"MODELS": "model.clip", "create_model": "model.clip", "load": "weights"}
__all__ = list(_HOMES)


def __getattr__(name):
    """miniclip.MODELS, .create_model and .load, imported when first asked for: `import miniclip`
    itself costs nothing and needs no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'miniclip' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"miniclip.{_HOMES[name]}"), name)
