"""TNT: Transformer in Transformer.

Kai Han, An Xiao, Enhua Wu, Jianyuan Guo, Chunjing Xu, Yunhe Wang: *Transformer in Transformer*.
NeurIPS 2021, arXiv:2103.00112. Written from the paper, with the state-dict names of the port in
timm (``tnt_s_patch16_224``, Apache-2.0), whose ImageNet weights load here.

A picture of 224×224 is cut into 14×14 patches, "visual sentences", and each patch into 4×4
sub-patches, "visual words". In each of 12 blocks an inner transformer mixes the 16 words of every
sentence; then they are added to their sentence through a linear layer, and an outer transformer
mixes the 196 sentences and a class token.
"""

from __future__ import annotations

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
PATCH = 16
STRIDE = 4
"""Pixels from one sentence, and from one word, to the next."""
SIDE = PATCH // STRIDE


class Attention(nn.Module):
    """Multi-head self-attention.

    Attributes
    ----------
    keep_attention : bool
        False: fused attention, which makes no map. True: the same attention step by step; the map
        of the last forward pass is then in `attention_map`, as a part of the graph, so that
        ``torch.autograd.grad(score, module.attention_map)`` gives its gradient.
    attention_map : Tensor or None
        ``(sample, head, query, key)``; each row sums to 1. Set to None to free its memory.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qk = nn.Linear(width, 2 * width, bias=False)
        self.v = nn.Linear(width, width, bias=False)
        self.proj = nn.Linear(width, width)
        self.keep_attention = False
        self.attention_map: Tensor | None = None

    def forward(
        self, x: Float[Tensor, "sample token width"]
    ) -> Float[Tensor, "sample token width"]:
        """Attended values."""
        q, k = self.qk(x).chunk(2, dim=-1)  # 2 × (sample, token, width)
        q, k, v = self._split(q), self._split(k), self._split(self.v(x))
        if self.keep_attention:
            self.attention_map = (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1)
            out = self.attention_map @ v  # (sample, head, token, width / head)
        else:
            out = functional.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).flatten(2))  # (sample, token, width)

    def _split(self, x: Tensor) -> Tensor:
        sample, token, width = x.shape
        x = x.reshape(sample, token, self.heads, width // self.heads)
        return x.transpose(1, 2)  # (sample, head, token, width / head)


class FeedForward(nn.Module):
    """Two linear layers with GELU between them; four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(
        self, x: Float[Tensor, "sample token width"]
    ) -> Float[Tensor, "sample token width"]:
        """The same for every token."""
        return self.fc2(functional.gelu(self.fc1(x)))


class WordEmbedding(nn.Module):
    """Words of every sentence: a 7×7 convolution with stride 4 on each patch by itself."""

    def __init__(self, inner_width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, inner_width, kernel_size=7, stride=STRIDE, padding=3)

    def forward(
        self, x: Float[Tensor, "image 3 height width"], position: Float[Tensor, "1 inner 4 4"]
    ) -> Float[Tensor, "sentence word inner"]:
        """Words with their place in the sentence; sentences row by row, picture after picture."""
        images, _, height, width = x.shape
        x = x.reshape(images, 3, height // PATCH, PATCH, width // PATCH, PATCH)
        x = x.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)  # (sentence, 3, 16, 16)
        x = self.proj(x) + position  # (sentence, inner, 4, 4)
        return x.flatten(2).mT  # (sentence, word, inner)


class Block(nn.Module):
    """Inner transformer on words, their sum into sentences, outer transformer on sentences."""

    def __init__(self, width: int, heads: int, inner_width: int, inner_heads: int) -> None:
        super().__init__()
        self.norm_in = nn.LayerNorm(inner_width)
        self.attn_in = Attention(inner_width, inner_heads)
        self.norm_mlp_in = nn.LayerNorm(inner_width)
        self.mlp_in = FeedForward(inner_width)
        joined = SIDE**2 * inner_width
        self.norm1_proj = nn.LayerNorm(joined)
        self.proj = nn.Linear(joined, width, bias=False)
        self.norm2_proj = nn.LayerNorm(width)
        self.norm_out = nn.LayerNorm(width)
        self.attn_out = Attention(width, heads)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = FeedForward(width)

    def forward(
        self,
        words: Float[Tensor, "sentence word inner"],
        tokens: Float[Tensor, "image token width"],
    ) -> tuple[Float[Tensor, "sentence word inner"], Float[Tensor, "image token width"]]:
        """Mixed words, and mixed tokens (the class token, then the sentences)."""
        words = words + self.attn_in(self.norm_in(words))
        words = words + self.mlp_in(self.norm_mlp_in(words))
        images, count, _ = tokens.shape
        joined = words.reshape(images, count - 1, -1)  # (image, token - 1, joined)
        sentences = self.norm2_proj(self.proj(self.norm1_proj(joined)))
        tokens = torch.cat((tokens[:, :1], tokens[:, 1:] + sentences), dim=1)
        tokens = tokens + self.attn_out(self.norm_out(tokens))
        tokens = tokens + self.mlp(self.norm_mlp(tokens))
        return words, tokens


@MODELS.register("tnt_s_patch16_224")
class TNT(nn.Module):
    """TNT-S on RGB pictures.

    Parameters
    ----------
    num_classes : int
        Number of logits. 0: no head, and the output is the class token after the last norm.
    image_size : int
        Side of the pictures in pixels, a multiple of 16.
    depth, width, heads : int
        Blocks; width and heads of the outer transformer.
    inner_width, inner_heads : int
        Width and heads of the inner transformer.

    Attributes
    ----------
    width : int
        Width of a token, and of the output with ``num_classes=0``.

    Notes
    -----
    23,768,584 parameters with 1000 classes. Values in 0…1, minus 0.5, divided by 0.5. TNT-B of the
    paper is ``width=640, heads=10, inner_width=40``. Fresh weights are drawn from N(0, 0.02)
    truncated at two units on either side, biases are zero.

    timm's ImageNet weights load strictly with ``num_classes=1000``. For any other number,
    ``load_weights(model, path, without=HEAD)`` leaves out their head by name; nothing else may be
    missing.

    Examples
    --------
    >>> sum(p.numel() for p in TNT(num_classes=1000).parameters())
    23768584
    """

    card: Card
    gives_features = True

    def __init__(
        self,
        num_classes: int = 1000,
        *,
        image_size: int = 224,
        depth: int = 12,
        width: int = 384,
        heads: int = 6,
        inner_width: int = 24,
        inner_heads: int = 4,
    ) -> None:
        super().__init__()
        _check_sizes(image_size, (width, heads), (inner_width, inner_heads))
        joined = SIDE**2 * inner_width
        self.image_size = image_size
        self.width = width
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.patch_pos = nn.Parameter(torch.zeros(1, (image_size // PATCH) ** 2 + 1, width))
        self.pixel_pos = nn.Parameter(torch.zeros(1, inner_width, SIDE, SIDE))
        self.pixel_embed = WordEmbedding(inner_width)
        self.norm1_proj = nn.LayerNorm(joined)
        self.proj = nn.Linear(joined, width)
        self.norm2_proj = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(
            [Block(width, heads, inner_width, inner_heads) for _ in range(depth)]
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, num_classes) if num_classes else nn.Identity()
        self.apply(_draw_weights)
        for token in (self.cls_token, self.patch_pos, self.pixel_pos):
            nn.init.trunc_normal_(token, std=0.02)

    def forward(self, x: Float[Tensor, "image ..."]) -> Float[Tensor, "image out"]:
        """Logits, or the class token where there is no head.

        Parameters
        ----------
        x : Float[Tensor, "image 3 224 224"]
            RGB, in -1…1 (0…255 divided by 255, minus 0.5, divided by 0.5).

        Raises
        ------
        ConfigError
            If the pictures have another shape.
        """
        return self.head(self.tokens(x)[:, 0])  # (image, class) or (image, width)

    def tokens(self, x: Float[Tensor, "image ..."]) -> Float[Tensor, "image token width"]:
        """The class token and the 196 sentences (row by row), after the last norm.

        Raises
        ------
        ConfigError
            If the pictures have another shape.
        """
        self._check_shape(x)
        words = self.pixel_embed(x, self.pixel_pos)  # (image · 196, 16, 24)
        joined = words.reshape(
            x.shape[0], -1, self.norm1_proj.normalized_shape[0]
        )  # (image, 196, 384)
        sentences = self.norm2_proj(self.proj(self.norm1_proj(joined)))  # (image, 196, 384)
        first = self.cls_token.expand(x.shape[0], -1, -1)  # (image, 1, 384)
        tokens = torch.cat((first, sentences), dim=1) + self.patch_pos  # (image, 197, 384)
        for block in self.blocks:
            words, tokens = block(words, tokens)
        return self.norm(tokens)  # (image, 197, 384)

    def attention(
        self, x: Float[Tensor, "image ..."]
    ) -> list[Float[Tensor, "image head token token"]]:
        """Attention maps of the outer transformer, one a block.

        Each row sums to 1: from a token (the class token is number 0) to the tokens it reads. The
        maps belong to the graph unless gradients are off. For relevance, set `keep_attention` on
        the modules ``block.attn_out`` and read `attention_map` after a forward pass.

        Raises
        ------
        ConfigError
            If the pictures have another shape.
        """
        outer = [block.attn_out for block in cast(Iterable[Block], self.blocks)]
        before = [module.keep_attention for module in outer]
        try:
            for module in outer:
                module.keep_attention = True
            self.tokens(x)
            return [cast(Tensor, module.attention_map) for module in outer]
        finally:
            for module, kept in zip(outer, before, strict=True):
                module.keep_attention = kept
                if not kept:
                    module.attention_map = None

    def _check_shape(self, x: Tensor) -> None:
        wanted = (3, self.image_size, self.image_size)
        if x.ndim != 4 or tuple(x.shape[1:]) != wanted:
            raise ConfigError(
                f"TNT was given pictures of shape {tuple(x.shape)}, expected (image, "
                f"{', '.join(map(str, wanted))}): RGB, channel first. Resize them, or build it "
                "with image_size=… (weights are for one size)."
            )


def _check_sizes(image_size: int, *widths: tuple[int, int]) -> None:
    if image_size < PATCH or image_size % PATCH:
        raise ConfigError(f"image_size is {image_size}, expected a multiple of 16 pixels.")
    for width, heads in widths:
        if width % heads:
            raise ConfigError(f"{heads} heads cannot share a width of {width}: change either.")


def _draw_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
