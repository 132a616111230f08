"""The video masked autoencoder of the dual-stream system: a 3-D ViT that learns from clips alone.

Nguyen, Yang, Dao, Kim, Kim, Shin, Nguyen, Nguyen: *Dual-stream transformer approach for pain
assessment using visual-physiological data modeling*. PeerJ Computer Science 11:e3158, 2025,
doi:10.7717/peerj-cs.3158. Code: mducducd/Multimodal_Pain at 3b5e185 (no licence: none of it is
here). Written from the article, with the state-dict names of the authors' encoder. The article
builds on MARLIN (Cai et al., CVPR 2023) and VideoMAE (Tong et al., NeurIPS 2022).

A clip of 16 frames of 224×224 is cut into tubes of 2 frames × 16 × 16 pixels: 8 × 14 × 14 = 1,568
tokens. Nine in ten are masked, whole tubes through time; the encoder computes what is visible
alone, a smaller decoder paints the rest, and a critic on patches tells real from painted ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import cast

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from dolorimeter.errors import ConfigError
from dolorimeter.models._weights import load_weights
from dolorimeter.registry import MODELS, Card

TUBE, PATCH = 2, 16
"""Frames, and side in pixels, of what one token stands for."""
PIXELS = 3 * TUBE * PATCH**2
"""Numbers in one patch: 1,536."""
DECODER_WIDTH, DECODER_HEADS, DECODER_DEPTH = 192, 3, 8
CRITIC_WIDTH = 768
CRITIC_SLOPE = 0.2
"""Of the critic's LeakyReLU below zero."""
GRADIENT_PENALTY = 10.0
"""λ, the default of the authors' class; their released configuration sets 0."""


def patches(x: Float[Tensor, "clip 3 frame height width"]) -> Float[Tensor, "clip token pixel"]:
    """Clips cut into tubes of 2 × 16 × 16: by time, then row by row; pixels by colour and frame.

    Examples
    --------
    >>> patches(torch.zeros(1, 3, 16, 224, 224)).shape
    torch.Size([1, 1568, 1536])
    """
    clips, colours, frames, height, width = x.shape
    grid = (frames // TUBE, height // PATCH, width // PATCH)
    x = x.reshape(clips, colours, grid[0], TUBE, grid[1], PATCH, grid[2], PATCH)
    x = x.permute(0, 2, 4, 6, 1, 3, 5, 7)  # (clip, time, row, column, 3, 2, 16, 16)
    return x.reshape(clips, math.prod(grid), -1)  # (clip, token, 1536)


def from_patches(
    x: Float[Tensor, "clip token pixel"], frames: int, side: int
) -> Float[Tensor, "clip 3 frame side side"]:
    """Clips put together again from all of their patches: the inverse of `patches`."""
    grid = (frames // TUBE, side // PATCH, side // PATCH)
    x = x.reshape(len(x), *grid, 3, TUBE, PATCH, PATCH)
    return x.permute(0, 4, 1, 5, 2, 6, 3, 7).reshape(len(x), 3, frames, side, side)


class PatchEmbedding(nn.Module):
    """Patches to tokens. A convolution that moves by its own size is a linear layer on patches."""

    def __init__(self, width: int) -> None:
        super().__init__()
        size = (TUBE, PATCH, PATCH)
        self.projection = nn.Conv3d(3, width, kernel_size=size, stride=size)

    def forward(self, x: Float[Tensor, "clip token pixel"]) -> Float[Tensor, "clip token width"]:
        """The same for every patch."""
        return functional.linear(x, self.projection.weight.flatten(1), self.projection.bias)


class PositionEmbedding(nn.Module):
    """Fixed sines and cosines of a token's number, by turns.

    Computed in float32 as the authors do: at the last tokens an angle is off by 1e-4 there.
    """

    emb: Tensor

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        rate = 1 / 10_000 ** (torch.arange(0, width, 2, dtype=torch.float32) / width)
        angle = torch.arange(tokens, dtype=torch.float32)[:, None] * rate  # (token, width / 2)
        table = torch.stack((angle.sin(), angle.cos()), dim=2).flatten(1)  # (token, width)
        self.register_buffer("emb", table[None])

    def forward(self) -> Float[Tensor, "1 token width"]:
        """The table."""
        return self.emb


class Attention(nn.Module):
    """Multi-head self-attention; queries and values have a bias, keys have none.

    Attributes
    ----------
    keep_attention : bool
        False: fused attention, which makes no map. True: step by step; the map of the last forward
        pass is then in `attention_map`, as a part of the graph.
    attention_map : Tensor or None
        ``(clip, head, query, key)``; each row sums to 1. Set to None to free its memory.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)
        self.keep_attention = False
        self.attention_map: Tensor | None = None

    def forward(self, x: Float[Tensor, "clip token width"]) -> Float[Tensor, "clip token width"]:
        """Attended values."""
        q, k, v = self.queries_keys_values(x)
        if self.keep_attention:
            self.attention_map = (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1)
            out = self.attention_map @ v  # (clip, head, token, width / head)
        else:
            out = functional.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).flatten(2))  # (clip, token, width)

    def queries_keys_values(
        self, x: Float[Tensor, "clip token width"]
    ) -> tuple[
        Float[Tensor, "clip head token part"],
        Float[Tensor, "clip head token part"],
        Float[Tensor, "clip head token part"],
    ]:
        """What attention is made of."""
        bias = torch.cat((self.q_bias, torch.zeros_like(self.q_bias), self.v_bias))
        qkv = functional.linear(x, self.qkv.weight, bias)  # (clip, token, 3 · width)
        clips, tokens, _ = qkv.shape
        q, k, v = qkv.reshape(clips, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        return q, k, v  # (clip, head, token, width / head) each


class Layer(nn.Module):
    """A linear layer, called as the authors call it."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, out)

    def forward(self, x: Float[Tensor, "clip token width"]) -> Float[Tensor, "clip token out"]:
        """The same for every token."""
        return self.linear(x)


class FeedForward(nn.Module):
    """Two linear layers with GELU between them; four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Layer(width, 4 * width), Layer(4 * width, width)])

    def forward(self, x: Float[Tensor, "clip token width"]) -> Float[Tensor, "clip token width"]:
        """The same for every token."""
        wide, narrow = self.layers
        return narrow(functional.gelu(wide(x)))


class Block(nn.Module):
    """Attention and a feed-forward layer, norms first."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = FeedForward(width)

    def forward(self, x: Float[Tensor, "clip token width"]) -> Float[Tensor, "clip token width"]:
        """Mixed tokens."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VideoMAEEncoder(nn.Module):
    """The 3-D Vision Transformer; `create_model` has it in four sizes.

    Parameters
    ----------
    num_classes : int
        Number of logits. 0: no head, and the output is the mean of the tokens.
    frames : int
        Of a clip, an even number.
    image_size : int
        Side of the pictures in pixels, a multiple of 16.
    depth, width, heads : int
        Blocks, and their width and heads.

    Attributes
    ----------
    width : int
        Of a token, and of the output with ``num_classes=0``.
    grid : (int, int, int)
        Tokens in time, rows and columns; a token's number counts columns first.

    Notes
    -----
    Small: 21,879,936 parameters that learn, and 602,112 fixed numbers that tell positions. Fresh
    weights are drawn by Glorot's uniform rule, biases are zero. Pictures are in −1…1.

    Examples
    --------
    >>> sum(p.numel() for p in VideoMAESmall().parameters())
    21879936
    """

    card: Card
    gives_features = True

    def __init__(
        self,
        num_classes: int = 0,
        *,
        frames: int = 16,
        image_size: int = 224,
        depth: int = 12,
        width: int = 384,
        heads: int = 6,
    ) -> None:
        super().__init__()
        _check_sizes(frames, image_size, width, heads)
        self.frames, self.image_size, self.width = frames, image_size, width
        side = image_size // PATCH
        self.grid = (frames // TUBE, side, side)
        self.patch_embedding = PatchEmbedding(width)
        self.pos_embedding = PositionEmbedding(math.prod(self.grid), width)
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(depth)])
        self.head = nn.Linear(width, num_classes) if num_classes else nn.Identity()
        self.apply(_draw_weights)

    def forward(self, x: Float[Tensor, "clip ..."]) -> Float[Tensor, "clip out"]:
        """Logits, or the mean of the tokens where there is no head.

        Parameters
        ----------
        x : Float[Tensor, "clip 3 16 224 224"]
            RGB in −1…1 (0…255 divided by 255, minus 0.5, divided by 0.5).

        Raises
        ------
        ConfigError
            If the clips have another shape.
        """
        return self.head(self.tokens(x).mean(dim=1))  # (clip, class) or (clip, width)

    def tokens(self, x: Float[Tensor, "clip ..."]) -> Float[Tensor, "clip token width"]:
        """All tokens after the last norm: by time, then row by row.

        Raises
        ------
        ConfigError
            If the clips have another shape.
        """
        self.check_shape(x)
        tokens = self.patch_embedding(patches(x)) + self.pos_embedding()  # (clip, 1568, width)
        return self._through(tokens)

    def visible_tokens(
        self, cut: Float[Tensor, "clip token pixel"], visible: Int64[Tensor, "clip kept"]
    ) -> Float[Tensor, "clip kept width"]:
        """Tokens of the visible patches; nothing is computed of the others.

        Parameters
        ----------
        cut : Float[Tensor, "clip token pixel"]
            What `patches` gives of clips.
        visible : Int64[Tensor, "clip kept"]
            Numbers of the tokens that are seen.
        """
        kept = cut.gather(1, visible[..., None].expand(-1, -1, cut.shape[2]))
        place = self.pos_embedding()[0][visible]  # (clip, kept, width)
        return self._through(self.patch_embedding(kept) + place)

    def attention(self, x: Float[Tensor, "clip ..."]) -> Float[Tensor, "clip head token token"]:
        """Attention map of the last block: each row sums to 1.

        Raises
        ------
        ConfigError
            If the clips have another shape.
        """
        last = cast(Block, self.blocks[-1]).attn
        before = last.keep_attention
        try:
            last.keep_attention = True
            self.tokens(x)
            return cast(Tensor, last.attention_map)
        finally:
            last.keep_attention = before
            if not before:
                last.attention_map = None

    def temporal_attention(
        self, x: Float[Tensor, "clip ..."]
    ) -> Float[Tensor, "clip head row column time time"]:
        """Attention of the last block along time, at each place of the picture by itself.

        softmax(QKᵀ/√d) over the tokens of one place: what the article calls temporal attention.
        In training and evaluation attention is joint over all tokens.

        Raises
        ------
        ConfigError
            If the clips have another shape.
        """
        self.check_shape(x)
        tokens = self.patch_embedding(patches(x)) + self.pos_embedding()
        blocks = list(cast(Iterable[Block], self.blocks))
        for block in blocks[:-1]:
            tokens = block(tokens)
        q, k, _ = blocks[-1].attn.queries_keys_values(blocks[-1].norm1(tokens))
        time, row, column = self.grid
        shape = (len(q), q.shape[1], time, row, column, q.shape[-1])
        q, k = (v.reshape(shape).permute(0, 1, 3, 4, 2, 5) for v in (q, k))
        return (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1)  # (clip, head, row, column, 8, 8)

    def check_shape(self, x: Tensor) -> None:
        """`ConfigError` unless the clips are of the shape that this network is for."""
        wanted = (3, self.frames, self.image_size, self.image_size)
        if x.ndim != 5 or tuple(x.shape[1:]) != wanted:
            raise ConfigError(
                f"the video encoder was given clips of shape {tuple(x.shape)}, expected (clip, "
                f"{', '.join(map(str, wanted))}): colour, frame, row, column. Take clips of "
                f"{self.frames} frames, or build it with frames=… and image_size=…."
            )

    def _through(self, tokens: Tensor) -> Tensor:
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)


@MODELS.register("video_mae_tiny")
class VideoMAETiny(VideoMAEEncoder):
    """`VideoMAEEncoder` of width 192, 12 blocks, 3 heads."""

    def __init__(self, num_classes: int = 0, *, frames: int = 16, image_size: int = 224) -> None:
        super().__init__(num_classes, frames=frames, image_size=image_size, width=192, heads=3)


@MODELS.register("video_mae_small")
class VideoMAESmall(VideoMAEEncoder):
    """`VideoMAEEncoder` of width 384, 12 blocks, 6 heads: the article's."""

    def __init__(self, num_classes: int = 0, *, frames: int = 16, image_size: int = 224) -> None:
        super().__init__(num_classes, frames=frames, image_size=image_size, width=384, heads=6)


@MODELS.register("video_mae_base")
class VideoMAEBase(VideoMAEEncoder):
    """`VideoMAEEncoder` of width 768, 12 blocks, 12 heads."""

    def __init__(self, num_classes: int = 0, *, frames: int = 16, image_size: int = 224) -> None:
        super().__init__(num_classes, frames=frames, image_size=image_size, width=768, heads=12)


@MODELS.register("video_mae_large")
class VideoMAELarge(VideoMAEEncoder):
    """`VideoMAEEncoder` of width 1024, 24 blocks, 16 heads."""

    def __init__(self, num_classes: int = 0, *, frames: int = 16, image_size: int = 224) -> None:
        super().__init__(
            num_classes, frames=frames, image_size=image_size, depth=24, width=1024, heads=16
        )


class VideoAutoencoder(nn.Module):
    """Encoder and decoder together: what is pre-trained. The decoder is thrown away afterwards.

    Parameters
    ----------
    encoder : VideoMAEEncoder
    depth, width, heads : int
        Of the decoder: 8 blocks (the article's), 192 and 3 (the code's).
    """

    def __init__(
        self,
        encoder: VideoMAEEncoder,
        *,
        depth: int = DECODER_DEPTH,
        width: int = DECODER_WIDTH,
        heads: int = DECODER_HEADS,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ConfigError(f"{heads} heads cannot share a width of {width}: change either.")
        self.encoder = encoder
        self.bridge = nn.Linear(encoder.width, width, bias=False)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embedding = PositionEmbedding(math.prod(encoder.grid), width)
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, PIXELS)
        for part in (self.bridge, self.blocks, self.head):
            part.apply(_draw_weights)
        nn.init.trunc_normal_(self.mask_token, std=0.02)

    def forward(
        self, x: Float[Tensor, "clip ..."], masked: Bool[Tensor, "clip token"]
    ) -> Float[Tensor, "clip hidden pixel"]:
        """What the masked patches look like, as far as the visible ones tell.

        Parameters
        ----------
        x : Float[Tensor, "clip 3 16 224 224"]
        masked : Bool[Tensor, "clip token"]
            As many in each clip.

        Raises
        ------
        ConfigError
            If the clips have another shape, or the masks leave unequal numbers or nothing.
        """
        self.encoder.check_shape(x)
        return self.painted(patches(x), masked)

    def painted(
        self,
        cut: Float[Tensor, "clip token pixel"],
        masked: Bool[Tensor, "clip token"],
        asked: Bool[Tensor, "clip token"] | None = None,
    ) -> Float[Tensor, "clip wanted pixel"]:
        """As `forward`, from what `patches` gives of clips.

        Parameters
        ----------
        asked : Bool[Tensor, "clip token"], optional
            Which of the masked patches are painted, as many in each clip: the decoder computes
            nothing of the others. None: all of them.
        """
        visible = _numbers(~masked, "visible")  # (clip, kept)
        wanted = _numbers(masked if asked is None else asked & masked, "masked")
        seen = self.bridge(self.encoder.visible_tokens(cut, visible))  # (clip, kept, width)
        place = self.pos_embedding()[0].to(seen.dtype)  # (token, width)
        empty = self.mask_token.to(seen.dtype) + place[wanted]  # (clip, wanted, width)
        tokens = torch.cat((seen + place[visible], empty), dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(self.norm(tokens[:, visible.shape[1] :]))  # (clip, wanted, 1536)


class PatchCritic(nn.Module):
    """Tells real patches from painted ones: 1,536 → 768 → 1, the higher the more real."""

    def __init__(self, width: int = CRITIC_WIDTH) -> None:
        super().__init__()
        self.fc1 = nn.Linear(PIXELS, width)
        self.fc2 = nn.Linear(width, 1)

    def forward(self, x: Float[Tensor, "patch pixel"]) -> Float[Tensor, " patch"]:
        """One number a patch."""
        return self.fc2(functional.leaky_relu(self.fc1(x), CRITIC_SLOPE)).squeeze(1)


def masked_patches(
    cut: Float[Tensor, "clip token pixel"],
    masked: Bool[Tensor, "clip token"],
    *,
    standardised: bool = False,
) -> Float[Tensor, "clip hidden pixel"]:
    """The masked patches themselves; `standardised`, each by its own mean and deviation."""
    hidden = _numbers(masked, "masked")
    real = cut.gather(1, hidden[..., None].expand(-1, -1, cut.shape[2]))
    if standardised:
        mean = real.mean(dim=2, keepdim=True)
        real = (real - mean) / (real.var(dim=2, keepdim=True) + 1e-6).sqrt()
    return real


def critic_loss(
    critic: PatchCritic,
    real: Float[Tensor, "patch pixel"],
    fake: Float[Tensor, "patch pixel"],
    share: Float[Tensor, " patch"],
    penalty: float = GRADIENT_PENALTY,
) -> Float[Tensor, ""]:
    """E[f(fake)] − E[f(real)] + λ·E[(‖∇f(x̂)‖₂ − 1)²]: the Wasserstein critic's loss.

    Parameters
    ----------
    fake : Float[Tensor, "patch pixel"]
        Painted patches; no gradient flows back through them.
    share : Float[Tensor, "patch"]
        0…1: how much of each x̂ is real, drawn by the caller.
    penalty : float
        λ; 0 leaves the penalty out.
    """
    real, fake = real.detach(), fake.detach()
    loss = critic(fake).mean() - critic(real).mean()
    if not penalty:
        return loss
    between = (share[:, None] * real + (1 - share[:, None]) * fake).requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return loss + penalty * ((slope.norm(dim=1) - 1) ** 2).mean()


def _numbers(chosen: Bool[Tensor, "clip token"], what: str) -> Int64[Tensor, "clip kept"]:
    """Numbers of the chosen tokens of each clip, ascending."""
    counts = chosen.sum(dim=1)
    if not len(counts) or not int(counts[0]) or bool((counts != counts[0]).any()):
        found = ", ".join(str(int(c)) for c in counts[:5]) or "none"
        raise ConfigError(
            f"masks with {found} {what} tokens, expected as many in each clip, and at least one."
        )
    return chosen.nonzero()[:, 1].reshape(len(chosen), -1)


def _check_sizes(frames: int, image_size: int, width: int, heads: int) -> None:
    if frames < TUBE or frames % TUBE:
        raise ConfigError(f"frames is {frames}, expected an even number of at least {TUBE}.")
    if image_size < PATCH or image_size % PATCH:
        raise ConfigError(f"image_size is {image_size}, expected a multiple of {PATCH} pixels.")
    if width % heads:
        raise ConfigError(f"{heads} heads cannot share a width of {width}: change either.")


def _draw_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv3d):
        nn.init.xavier_uniform_(module.weight.view(len(module.weight), -1))
        if module.bias is not None:
            nn.init.zeros_(module.bias)


SIZES = {"tiny": (192, 3), "small": (384, 6)}
"""Width and heads of `ViT3D`, twelve blocks each."""


@MODELS.register("vit3d")
class ViT3D(nn.Module):
    """The 3-D Vision Transformer trained with its classifier, from scratch or from weights.

    Parameters
    ----------
    num_classes : int
        Number of logits. 0: no head, and the output is the mean of the tokens.
    input_shape : tuple of int
        ``(frame, 3, side, side)`` of one clip.
    size : str
        ``tiny`` (width 192) or ``small`` (384).
    depth : int
        Blocks.
    encoder_weights : str
        Path of a weights file of the encoder (``video_mae_…``), needed at the start of a fit only;
        empty: fresh weights.
    dropout : float
        Share of the mean token left out in training.

    Examples
    --------
    >>> model = ViT3D(2, input_shape=(16, 3, 224, 224))
    >>> sum(p.numel() for p in model.parameters())
    21880706
    """

    card: Card
    gives_features = True

    def __init__(
        self,
        num_classes: int = 2,
        *,
        input_shape: Sequence[int] = (16, 3, 224, 224),
        size: str = "small",
        depth: int = 12,
        encoder_weights: str = "",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(input_shape) != 4 or input_shape[1] != 3 or input_shape[2] != input_shape[3]:
            raise ConfigError(
                f"input_shape is {tuple(input_shape)}, expected (frame, 3, side, side): clips of "
                "face_clip without an encoder."
            )
        if size not in SIZES or depth < 1:
            raise ConfigError(
                f"size is '{size}' with {depth} blocks, expected one of {', '.join(SIZES)}, and "
                "at least one block."
            )
        width, heads = SIZES[size]
        self.width = width
        self.encoder = VideoMAEEncoder(
            frames=int(input_shape[0]), image_size=int(input_shape[2]), depth=depth, width=width,
            heads=heads,
        )  # fmt: skip
        if encoder_weights:
            load_weights(self.encoder, encoder_weights)
        self.notes = () if encoder_weights else ("the 3-D ViT was trained from scratch",)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, num_classes) if num_classes else nn.Identity()

    def forward(self, x: Float[Tensor, "clip ..."]) -> Float[Tensor, "clip out"]:
        """Logits, or the mean of the tokens where there is no head.

        Parameters
        ----------
        x : Float[Tensor, "clip frame 3 height width"]
            RGB in −1…1.

        Raises
        ------
        ConfigError
            If the clips have another shape.
        """
        tokens = self.encoder.tokens(x.transpose(1, 2))  # (clip, token, width)
        return self.head(self.dropout(tokens.mean(dim=1)))  # (clip, class) or (clip, width)

    def attention(self, x: Float[Tensor, "clip ..."]) -> Float[Tensor, "clip head token token"]:
        """Attention map of the last block: each row sums to 1."""
        return self.encoder.attention(x.transpose(1, 2))
