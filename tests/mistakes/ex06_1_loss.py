MISTAKES = {
    "features are not normalized": [
        ("image, text = F.normalize(image, dim=1), F.normalize(text, dim=1)", "")
    ],
    "the scale is not exponentiated": [("logit_scale.exp()", "logit_scale")],
    "divides by the scale": [
        ("logit_scale.exp() * image @ text.T", "image @ text.T / logit_scale.exp()")
    ],
    "only images choose": [("(by_image + by_text) / 2", "by_image")],
    "adds both directions": [("(by_image + by_text) / 2", "by_image + by_text")],
    "normalizes each dimension": [("image, dim=1", "image, dim=0"), ("text, dim=1", "text, dim=0")],
}
