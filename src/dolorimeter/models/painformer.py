"""PainFormer: one encoder for faces, thermal and depth frames, and drawn signals.

Stefanos Gkikas, Raul Fernandez Rojas, Manolis Tsiknakis: *PainFormer: a Vision Foundation Model
for Automatic Pain Assessment*. IEEE Transactions on Affective Computing, 2025,
doi:10.1109/TAFFC.2025.3605475, arXiv:2505.01571. Authors' code: GkikasStefanos/PainFormer at
45f5963 (MIT), whose state-dict names are kept, so that their weights load strictly.

Four stages, each a finer mix of a smaller grid: two with spectral gating (a learned complex weight
for every frequency and channel), two with self-attention, 3 + 4 + 12 + 3 blocks; then one block in
which a class token, the mean of the 49 tokens, reads them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dolorimeter.errors import ConfigError
from dolorimeter.registry import MODELS, Card

HEAD = ("head.weight", "head.bias")
"""Names of the classifier's weights, for ``load_weights(model, path, without=HEAD)``."""
SIZE = 224
REDUCTION = 32
"""How many times smaller the last grid is than the picture."""


class SpectralGating(nn.Module):
    """Every frequency of every channel times a learned complex number.

    Parameters
    ----------
    width : int
        Channels.
    grid : int
        Side of the grid that the weights are made for; other sides take weights interpolated in
        the frequency domain.
    """

    def __init__(self, width: int, grid: int) -> None:
        super().__init__()
        self.grid = grid
        self.complex_weight = nn.Parameter(0.02 * torch.randn(grid, grid // 2 + 1, width, 2))

    def forward(
        self, x: Float[Tensor, "image token width"], height: int, width: int
    ) -> Float[Tensor, "image token width"]:
        """Tokens of a ``height × width`` grid, row by row."""
        weight = self.weight_for(height, width)  # (height, width // 2 + 1, channel), complex
        grid = x.reshape(x.shape[0], height, width, -1)  # (image, height, width, channel)
        spectrum = torch.fft.rfft2(grid, dim=(1, 2), norm="ortho") * weight
        out = torch.fft.irfft2(spectrum, s=(height, width), dim=(1, 2), norm="ortho")
        return out.flatten(1, 2)  # (image, token, channel)

    def weight_for(self, height: int, width: int) -> Tensor:
        """Complex weights of a grid, ``(height, width // 2 + 1, channel)``.

        Of another grid than `grid` bilinearly interpolated between frequencies in cycles a
        picture side, the lowest kept in place.
        """
        if (height, width) == (self.grid, self.grid):
            return torch.view_as_complex(self.complex_weight.contiguous())
        centred = torch.fft.fftshift(self.complex_weight, dim=0)  # frequencies −n/2 … n/2 − 1
        flat = centred.flatten(2).permute(2, 0, 1)[None]  # (1, channel · 2, row, column)
        rows = torch.fft.fftshift(torch.fft.fftfreq(height, device=flat.device))
        columns = torch.fft.rfftfreq(width, device=flat.device)
        y = 2 * (rows * self.grid + self.grid // 2) / (self.grid - 1) - 1
        x = 2 * (columns * self.grid) / (self.grid // 2) - 1
        at = torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1).flip(-1)[None].to(flat.dtype)
        found = functional.grid_sample(flat, at, align_corners=True, padding_mode="border")
        found = found[0].permute(1, 2, 0)  # (height, column, channel · 2)
        found = found.reshape(*found.shape[:2], -1, 2)
        return torch.view_as_complex(torch.fft.ifftshift(found, dim=0).contiguous())


class MatrixGating(nn.Module):
    """`SpectralGating` of one grid as products with the matrices of the Fourier transform.

    The same numbers without an operator for the transform, which runtimes lack or run slowly, and
    without moving axes, which costs them as much as the products. Along a row real and imaginary
    parts of all frequencies stand one after the other: columns are transformed as they lie.
    """

    real: Tensor
    imaginary: Tensor
    along: Tensor
    back: Tensor
    down: Tensor

    def __init__(self, gating: SpectralGating, side: int) -> None:
        super().__init__()
        weight = gating.weight_for(side, side).detach().flatten(1)  # (row, frequency · channel)
        self.register_buffer("real", weight.real.clone())
        self.register_buffer("imaginary", weight.imag.clone())
        along, back, down = _fourier_matrices(side)
        for name, matrix in (("along", along), ("back", back), ("down", down)):
            self.register_buffer(name, matrix.to(weight.real.dtype))
        self.side = side

    def forward(
        self, x: Float[Tensor, "image token width"], height: int, width: int
    ) -> Float[Tensor, "image token width"]:
        """Tokens of the grid, row by row.

        Raises
        ------
        ConfigError
            If the grid is not the one the matrices were made for.
        """
        if (height, width) != (self.side, self.side):
            raise ConfigError(
                f"an exported PainFormer was made for a grid of {self.side}, found "
                f"{height} × {width}: give it pictures of the size it was exported for."
            )
        images, half = x.shape[0], self.side // 2 + 1
        grid = x.reshape(images, self.side, self.side, -1)  # (image, row, column, channel)
        spectrum = (self.along @ grid).flatten(2)  # (image, row, 2 · frequency · channel)
        (cos_real, cos_imag), (sin_real, sin_imag) = self._parts(spectrum)
        real, imaginary = cos_real + sin_imag, cos_imag - sin_real  # (image, row, freq. · channel)
        gated = torch.cat(
            (
                real * self.real - imaginary * self.imaginary,
                real * self.imaginary + imaginary * self.real,
            ),
            dim=2,
        )
        (cos_real, cos_imag), (sin_real, sin_imag) = self._parts(gated)
        spectrum = torch.cat((cos_real - sin_imag, cos_imag + sin_real), dim=2)
        spectrum = spectrum.reshape(images, self.side, 2 * half, -1)
        return (self.back @ spectrum).flatten(1, 2)  # (image, token, channel)

    def _parts(self, spectrum: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Real and imaginary part times the cosines down the rows, and times the sines."""
        cosine, sine = (self.down @ spectrum).chunk(2, dim=1)
        return cosine.chunk(2, dim=2), sine.chunk(2, dim=2)


def _fourier_matrices(side: int) -> tuple[Tensor, Tensor, Tensor]:
    """The real transform along rows, its inverse, and the cosines above the sines down columns."""
    place = torch.arange(side, dtype=torch.float64)
    half = torch.arange(side // 2 + 1, dtype=torch.float64)
    angle = 2 * torch.pi * half[:, None] * place / side  # (frequency, column)
    along = torch.cat((angle.cos(), -angle.sin())) / side**0.5
    twice = torch.where((half == 0) | (2 * half == side), 1.0, 2.0)[:, None]
    back = torch.cat((twice * angle.cos(), -twice * angle.sin())).mT / side**0.5
    angle = 2 * torch.pi * place[:, None] * place / side
    down = torch.cat((angle.cos(), angle.sin())) / side**0.5
    return along, back, down


class SelfAttention(nn.Module):
    """Multi-head self-attention with separate projections for queries and for keys and values.

    Attributes
    ----------
    keep_attention : bool
        False: fused attention. True: step by step; the map of the last forward pass is then in
        `attention_map`, as a part of the graph.
    attention_map : Tensor or None
        ``(image, head, query, key)``; each row sums to 1.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)
        self.keep_attention = False
        self.attention_map: Tensor | None = None

    def forward(
        self,
        x: Float[Tensor, "image token width"],
        height: int,  # noqa: ARG002  # one signature for both token mixers
        width: int,  # noqa: ARG002
    ) -> Float[Tensor, "image token width"]:
        """Attended values; the grid's sides play no part."""
        return self.attend(x, x)

    def attend(
        self, asking: Float[Tensor, "image query width"], x: Float[Tensor, "image token width"]
    ) -> Float[Tensor, "image query width"]:
        """What the tokens of `asking` read from those of `x`."""
        q = self._split(self.q(asking))  # (image, head, query, width / head)
        k, v = (self._split(half) for half in self.kv(x).chunk(2, dim=-1))
        if self.keep_attention:
            self.attention_map = (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1)
            out = self.attention_map @ v
        else:
            out = functional.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).flatten(2))  # (image, query, width)

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


class DepthwiseConv(nn.Module):
    """Each channel by itself through a 3×3 convolution of the grid."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(
        self, x: Float[Tensor, "image token width"], height: int, width: int
    ) -> Float[Tensor, "image token width"]:
        """Tokens of a ``height × width`` grid, row by row."""
        grid = x.mT.reshape(x.shape[0], -1, height, width)  # (image, channel, height, width)
        return self.dwconv(grid).flatten(2).mT


class ConvFeedForward(nn.Module):
    """Linear, depthwise convolution, GELU, linear."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.dwconv = DepthwiseConv(hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(
        self, x: Float[Tensor, "image token width"], height: int, width: int
    ) -> Float[Tensor, "image token width"]:
        """Tokens of a ``height × width`` grid, row by row."""
        return self.fc2(functional.gelu(self.dwconv(self.fc1(x), height, width)))


class PointwiseFeedForward(nn.Module):
    """`ConvFeedForward` with its linear layers as 1×1 convolutions.

    The same numbers for runtimes: the grid is turned where it is narrow, and not around the
    convolution, where it is four to eight times as wide.
    """

    def __init__(self, mlp: ConvFeedForward) -> None:
        super().__init__()
        self.fc1 = _pointwise(mlp.fc1)
        self.dwconv = mlp.dwconv.dwconv
        self.fc2 = _pointwise(mlp.fc2)

    def forward(
        self, x: Float[Tensor, "image token width"], height: int, width: int
    ) -> Float[Tensor, "image token width"]:
        """Tokens of a ``height × width`` grid, row by row."""
        grid = x.reshape(x.shape[0], height, width, -1).permute(0, 3, 1, 2)
        grid = self.fc2(functional.gelu(self.dwconv(self.fc1(grid))))
        return grid.permute(0, 2, 3, 1).flatten(1, 2)


def _pointwise(linear: nn.Linear) -> nn.Conv2d:
    """The linear layer as a convolution over a grid."""
    found = nn.Conv2d(linear.in_features, linear.out_features, 1)
    weight = linear.weight.detach()[:, :, None, None]
    found.weight = nn.Parameter(weight.clone(), requires_grad=linear.weight.requires_grad)
    found.bias = linear.bias
    return found


class FeedForward(nn.Module):
    """Linear, GELU, linear."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "image token width"]) -> Float[Tensor, "image token width"]:
        """The same for every token."""
        return self.fc2(functional.gelu(self.fc1(x)))


class Block(nn.Module):
    """Token mixer, then feed-forward, each after a norm and added to what came in."""

    def __init__(
        self, width: int, hidden: int, mixer: SpectralGating | MatrixGating | SelfAttention
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.attn: SpectralGating | MatrixGating | SelfAttention = mixer
        self.mlp: ConvFeedForward | PointwiseFeedForward = ConvFeedForward(width, hidden)

    def forward(
        self, x: Float[Tensor, "image token width"], height: int, width: int
    ) -> Float[Tensor, "image token width"]:
        """Tokens of a ``height × width`` grid, row by row."""
        x = x + self.attn(self.norm1(x), height, width)
        return x + self.mlp(self.norm2(x), height, width)


class ClassBlock(nn.Module):
    """The first token reads all tokens; the others stay as they are."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.attn = SelfAttention(width, heads)
        self.mlp = FeedForward(width, hidden)

    def forward(self, x: Float[Tensor, "image token width"]) -> Float[Tensor, "image token width"]:
        """Tokens with the first one renewed."""
        normed = self.norm1(x)
        first = x[:, :1] + self.attn.attend(normed[:, :1], normed)  # (image, 1, width)
        first = first + self.mlp(self.norm2(first))
        return torch.cat((first, x[:, 1:]), dim=1)


class Stem(nn.Module):
    """Picture to the first grid, a quarter of its side: four convolutions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        self.proj = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Float[Tensor, "image 3 height width"]) -> tuple[Tensor, int, int]:
        """Tokens ``(image, token, width)`` row by row, and the grid's height and width."""
        x = self.proj(self.conv(x))  # (image, width, height / 4, width / 4)
        return self.norm(x.flatten(2).mT), x.shape[2], x.shape[3]


class Downsampling(nn.Module):
    """One stage's grid to the next one's, half its side."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(width_in, width_out, 3, stride=2, padding=1)
        self.norm = nn.LayerNorm(width_out)

    def forward(
        self, x: Float[Tensor, "image token width"], height: int, width: int
    ) -> tuple[Tensor, int, int]:
        """Tokens of the next grid row by row, and its height and width."""
        grid = self.proj(x.mT.reshape(x.shape[0], -1, height, width))
        return self.norm(grid.flatten(2).mT), grid.shape[2], grid.shape[3]


def _gating(depth: int, width: int, hidden: int, grid: int) -> nn.ModuleList:
    return nn.ModuleList([Block(width, hidden, SpectralGating(width, grid)) for _ in range(depth)])


def _attending(depth: int, width: int, hidden: int, heads: int) -> nn.ModuleList:
    return nn.ModuleList([Block(width, hidden, SelfAttention(width, heads)) for _ in range(depth)])


@MODELS.register("painformer")
class PainFormer(nn.Module):
    """PainFormer's encoder.

    Parameters
    ----------
    num_classes : int
        Number of logits. 0: no head, and the output is the 160 numbers.

    Attributes
    ----------
    width : int
        160, the size of an embedding.

    Notes
    -----
    19,596,704 parameters without head. RGB in 0…1, minus the Card's mean, divided by its std. The
    authors' file (a mapping with the key ``model_state_dict``) loads strictly with
    ``num_classes=1000``, and without its head with ``load_weights(model, path, without=HEAD)``.

    Examples
    --------
    >>> sum(p.numel() for p in PainFormer(num_classes=0).parameters())
    19596704
    """

    card: Card
    gives_features = True
    float_in_int8 = ("attn", "block4", "post_network")
    """Parts that eight bits harm most and speed up least (docs/benchmarks.md)."""

    def __init__(self, num_classes: int = 0) -> None:
        super().__init__()
        self.width = 160
        self.patch_embed1 = Stem(64)
        self.block1 = _gating(depth=3, width=64, hidden=512, grid=56)
        self.norm1 = nn.LayerNorm(64, eps=1e-6)
        self.patch_embed2 = Downsampling(64, 128)
        self.block2 = _gating(depth=4, width=128, hidden=1024, grid=28)
        self.norm2 = nn.LayerNorm(128, eps=1e-6)
        self.patch_embed3 = Downsampling(128, 320)
        self.block3 = _attending(depth=12, width=320, hidden=1280, heads=10)
        self.norm3 = nn.LayerNorm(320, eps=1e-6)
        self.patch_embed4 = Downsampling(320, self.width)
        self.block4 = _attending(depth=3, width=self.width, hidden=640, heads=16)
        self.norm4 = nn.LayerNorm(self.width, eps=1e-6)
        self.post_network = nn.ModuleList([ClassBlock(self.width, heads=16, hidden=640)])
        self.head = nn.Linear(self.width, num_classes) if num_classes else nn.Identity()
        self.apply(_draw_weights)

    def forward(self, x: Float[Tensor, "image ..."]) -> Float[Tensor, "image out"]:
        """The 160 numbers of each picture, or logits where there is a head.

        Parameters
        ----------
        x : Float[Tensor, "image 3 224 224"]
            RGB, normalised with the Card's mean and std.

        Raises
        ------
        ConfigError
            If the pictures are not RGB or have a side that is no multiple of 32.
        """
        return self.read(self.tokens(x))  # (image, 160) or (image, class)

    def tokens(self, x: Float[Tensor, "image ..."]) -> Float[Tensor, "image token 160"]:
        """The 49 tokens after the fourth stage, row by row.

        Raises
        ------
        ConfigError
            If the pictures are not RGB or have a side that is no multiple of 32.
        """
        return self.fourth_stage(*self.three_stages(x))

    def three_stages(
        self, x: Float[Tensor, "image ..."]
    ) -> tuple[Float[Tensor, "image token 320"], int, int]:
        """The tokens after the third stage, row by row, and the grid's height and width.

        Raises
        ------
        ConfigError
            If the pictures are not RGB or have a side that is no multiple of 32.
        """
        self._check_shape(x)
        tokens, height, width = self.patch_embed1(x)  # (image, 3136, 64)
        for block in self.block1:
            tokens = block(tokens, height, width)
        tokens, height, width = self.patch_embed2(self.norm1(tokens), height, width)  # 784 × 128
        for block in self.block2:
            tokens = block(tokens, height, width)
        tokens, height, width = self.patch_embed3(self.norm2(tokens), height, width)  # 196 × 320
        for block in self.block3:
            tokens = block(tokens, height, width)
        return tokens, height, width

    def fourth_stage(
        self, tokens: Float[Tensor, "image token 320"], height: int, width: int
    ) -> Float[Tensor, "image coarser 160"]:
        """The tokens after the fourth stage from those after the third."""
        tokens, height, width = self.patch_embed4(self.norm3(tokens), height, width)  # 49 × 160
        for block in self.block4:
            tokens = block(tokens, height, width)
        return tokens

    def read(self, tokens: Float[Tensor, "image token 160"]) -> Float[Tensor, "image out"]:
        """What the class token, their mean, reads of the tokens of the fourth stage."""
        joined = torch.cat((tokens.mean(dim=1, keepdim=True), tokens), dim=1)  # (image, 50, 160)
        for block in self.post_network:
            joined = block(joined)
        return self.head(self.norm4(joined[:, 0]))  # (image, 160) or (image, class)

    def attention(self, x: Float[Tensor, "image ..."]) -> list[Tensor]:
        """Attention maps of stages 3 (12 maps of 196 tokens) and 4 (3 maps of 49 tokens).

        Each is ``(image, head, query, key)``; each row sums to 1. They belong to the graph unless
        gradients are off.

        Raises
        ------
        ConfigError
            If the pictures are not RGB or have a side that is no multiple of 32.
        """
        blocks = cast(Iterable[Block], (*self.block3, *self.block4))
        mixers = [cast(SelfAttention, block.attn) for block in blocks]
        before = [mixer.keep_attention for mixer in mixers]
        try:
            for mixer in mixers:
                mixer.keep_attention = True
            self.tokens(x)
            return [cast(Tensor, mixer.attention_map) for mixer in mixers]
        finally:
            for mixer, kept in zip(mixers, before, strict=True):
                mixer.keep_attention = kept
                if not kept:
                    mixer.attention_map = None

    def exportable(self, size: int = SIZE) -> PainFormer:
        """A copy for `size` × `size` pictures, written as runtimes compute fastest.

        Spectral gating is matrix products, and feed-forward layers are convolutions. It gives the
        same numbers up to rounding. Its state dict has other names; the parameters of the gating
        are fixed.
        """
        twin = copy.deepcopy(self)
        for blocks, reduction in ((twin.block1, 4), (twin.block2, 8)):
            for block in cast(Iterable[Block], blocks):
                gating = cast(SpectralGating, block.attn)
                block.attn = MatrixGating(gating, size // reduction)
        for blocks in (twin.block1, twin.block2, twin.block3, twin.block4):
            for block in cast(Iterable[Block], blocks):
                block.mlp = PointwiseFeedForward(cast(ConvFeedForward, block.mlp))
        return twin

    def _check_shape(self, x: Tensor) -> None:
        sides = tuple(x.shape[2:])
        if x.ndim != 4 or x.shape[1] != 3 or any(s < REDUCTION or s % REDUCTION for s in sides):
            raise ConfigError(
                f"PainFormer was given pictures of shape {tuple(x.shape)}, expected (image, 3, "
                f"{SIZE}, {SIZE}), or other sides that are multiples of {REDUCTION}: RGB, channel "
                "first. Resize them."
            )


def _draw_weights(module: nn.Module) -> None:
    """Fresh weights as the authors draw them."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
        nn.init.normal_(module.weight, std=(2.0 / (fan_out // module.groups)) ** 0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
