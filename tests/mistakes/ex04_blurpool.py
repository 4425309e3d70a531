"""Plausible wrong blurs."""

from torch.nn import functional as F

from miniclip.model.blurpool import BlurPool, blur_filter


class _Blur(BlurPool):
    pad, groups, scale = "replicate", True, 1.0

    def forward(self, x):
        if self.stride == 1 or self.taps == 2:
            return super().forward(x)
        weight = self.filter.to(x.dtype).expand(x.shape[1], 1, -1, -1) * self.scale
        x = F.pad(x, (self.taps // 2,) * 4, mode=self.pad)
        return F.conv2d(x, weight, stride=self.stride, groups=x.shape[1])


class the_edge_fades_to_black(_Blur):
    pad = "constant"


class the_filter_is_not_an_average(_Blur):
    scale = 4.0


class the_stride_comes_before_the_blur(BlurPool):
    def forward(self, x):
        if self.stride == 1 or self.taps == 2:
            return super().forward(x)
        weight = self.filter.to(x.dtype).expand(x.shape[1], 1, -1, -1)
        x = x[..., :: self.stride, :: self.stride]
        x = F.pad(x, (self.taps // 2,) * 4, mode="replicate")
        return F.conv2d(x, weight, groups=x.shape[1])


class channels_are_averaged_together(BlurPool):
    def forward(self, x):
        if self.stride == 1:
            return x
        y = super().forward(x)
        return y.mean(1, keepdim=True).expand_as(y)


class without_padding(BlurPool):
    def forward(self, x):
        if self.stride == 1:
            return x
        weight = blur_filter(self.taps).to(x.dtype).expand(x.shape[1], 1, -1, -1)
        if min(x.shape[2:]) < self.taps:
            return super().forward(x)
        return F.conv2d(x, weight, stride=self.stride, groups=x.shape[1])


class a_stride_of_one_is_blurred(BlurPool):
    def forward(self, x):
        edge = self.taps // 2
        weight = blur_filter(self.taps).to(x.dtype).expand(x.shape[1], 1, -1, -1)
        if self.stride != 1:
            return super().forward(x)
        x = F.pad(x, (edge,) * 4, mode="replicate")
        return F.conv2d(x, weight, groups=x.shape[1])
