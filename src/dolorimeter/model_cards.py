"""Cards of the networks in `dolorimeter.models`; importing this module needs no PyTorch.

``dolorimeter list models`` and `dolorimeter.registry.MODELS` read them from here. The class that a
Card describes registers itself under the Card's name.
"""

from __future__ import annotations

from dolorimeter.registry import Card, InputSpec

DUAL_STREAM_PAPER = (
    "Nguyen, Yang, Dao, Kim, Kim, Shin, Nguyen, Nguyen: Dual-stream transformer approach for pain "
    "assessment using visual-physiological data modeling. PeerJ Computer Science 11:e3158, 2025"
)
DUAL_STREAM_DIFFERENCES = (
    "How the parts are wired is not in the article: here each encoder's tokens go through hybrid "
    "positional attention as (feature, token), then through a linear layer to width 128.",
    "The released code has one layer of co-attention, tanh in the place of softmax and 16 pooled "
    "tokens a side; here it is Algorithm 1 of the article: two layers, softmax, all tokens.",
    "The article counts 0.9 M parameters of hybrid positional attention and 0.83 M of "
    "co-attention; with its widths (16 and 128) the parts described have 0.55 M and 0.16 M.",
    "W of the co-attention starts small, so that no softmax is saturated at first.",
    "Video features are standardised by what the training windows teach (standardise_video); the "
    "article does not say so.",
    "A side that a window lacks is a learned token, and sides may be left out at random in "
    "training (stream_dropout). The article has neither.",
    "Scaling of signals is window_minmax (equation 5, which the text calls a z-score) before the "
    "network, or train_robust inside it.",
    "Late fusion is the mean of the two sides' probabilities; the article does not say.",
)
EMBEDDING_MIXER_PAPER = (
    "Gkikas, Fernandez Rojas, Tsiknakis: PainFormer: a Vision Foundation Model for Automatic Pain "
    "Assessment. IEEE Transactions on Affective Computing, 2025"
)
EMBEDDING_MIXER_DIFFERENCES = (
    "The figure gives no sizes: 64 latents of width 256, heads of 64 and a hidden layer of four "
    "times the width are ours. That makes 6.97 M parameters; 9.62 M is quoted and unconfirmed.",
    "One long vector is read as the tokens of 160 that it is made of.",
    "Each feature is standardised by its mean and deviation over its stream's training tokens.",
    "Tokens are told apart by fixed sines and cosines of their number.",
    "Missing tokens are masked out; a window without any gets the prior. The paper has none.",
)
FULL_TRANSFORMER_PAPER = (
    "Gkikas, Tsiknakis: A Full Transformer-based Framework for Automatic Pain Estimation using "
    "Videos. EMBC 2023"
)
FULL_TRANSFORMER_DIFFERENCES = (
    "The paper gives no sizes: 32 queries of width 256, blocks with a hidden layer of twice that, "
    "one head in the cross-attention and eight in the two self-attention blocks are ours.",
    "Frames are told apart by fixed sines and cosines of their number, so that the weights are of "
    "no length; the paper does not say how.",
    "Each feature is standardised by its mean and deviation over the training frames before the "
    "first linear layer.",
    "The frame encoder is timm's tnt_s_patch16_224; the paper says a pre-trained TNT, not which.",
)


def _video_mae(size: str, parameters: str) -> Card:
    return Card(
        name=f"video_mae_{size}",
        summary=f"3-D ViT encoder ({size.capitalize()}, {parameters}) of a masked autoencoder: "
        "a clip to tokens, or to their mean.",
        paper="Nguyen, Yang, Dao, Kim, Kim, Shin, Nguyen, Nguyen: Dual-stream transformer "
        "approach for pain assessment using visual-physiological data modeling. PeerJ Computer "
        "Science 11:e3158, 2025",
        doi="10.7717/peerj-cs.3158",
        code="https://github.com/mducducd/Multimodal_Pain at 3b5e185 (names and numbers)",
        input=InputSpec((3, 16, 224, 224), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        differences=(
            "How pixels are scaled is not in the article; here 0…255 becomes −1…1.",
            "Fresh weights, dropout and stochastic depth are not in the article: Glorot's uniform "
            "rule, and neither of the others.",
            "Targets are pixels as they are; VideoMAE's standardised patches are an option.",
        ),
    )


CARDS = (
    Card(
        name="convtran",
        summary="ConvTran on raw signals: convolutional embedding, tAPE, eRPE, mean over time.",
        paper="Foumani, Tan, Webb, Salehi: Improving position encoding of transformers for "
        "multivariate time series classification. Data Mining and Knowledge Discovery 38, 2024",
        doi="10.1007/s10618-023-00948-2",
        code="https://github.com/Navidfoumani/ConvTran",
        licence="MIT",
        differences=(
            "The relative term is a product of Fourier transforms: the same numbers, without a "
            "matrix of (time, time, head).",
            "Channels may be scaled by what the training windows teach (scaling); missing samples "
            "are 0 after it.",
        ),
    ),
    Card(
        name="dual_stream",
        summary="Dual-stream transformer: tokens of a clip and signals, hybrid positional "
        "attention, dense co-attention; either side may be missing.",
        paper=DUAL_STREAM_PAPER,
        doi="10.7717/peerj-cs.3158",
        code="https://github.com/mducducd/Multimodal_Pain at 3b5e185 (no licence; not copied)",
        licence="MIT",
        differences=DUAL_STREAM_DIFFERENCES,
    ),
    Card(
        name="e2e_mer",
        summary="ResNet-50 on frames and convolutions on raw signals, two layers of LSTM over "
        "both, from end to end; either may be missing.",
        paper="Tzirakis, Trigeorgis, Nicolaou, Schuller, Zafeiriou: End-to-end multimodal emotion "
        "recognition using deep neural networks. IEEE JSTSP 11, 2017",
        doi="10.1109/JSTSP.2017.2764438",
        code="https://github.com/tzirakis/Multimodal-Emotion-Recognition (BSD-3; sizes)",
        licence="MIT",
        differences=(
            "The article's second stream is speech at 16 kHz; here any number of signals, whose "
            "channels the first convolution joins. Its filters of 20 and 40 samples stay, and are "
            "other lengths in seconds.",
            "It predicts arousal and valence of every frame, with a loss of concordance; here the "
            "mean of the states is classified, with cross-entropy.",
            "Both streams are pre-trained by themselves in the article, and ResNet-50 on "
            "ImageNet; here frames_weights takes a file, else all is drawn at random, and the "
            "report says so. Its LSTM has peepholes, which PyTorch's has not.",
            "Sizes are those of the authors' public code; of the article itself only the opening "
            "was at hand. What Nguyen et al. changed when they re-implemented it they do not say.",
            "A missing side is zeros; neither article has that.",
        ),
    ),
    Card(
        name="embedding_fusion",
        summary="Fusions 1, 2 and N of PainFormer: several streams of embeddings, any missing.",
        paper=EMBEDDING_MIXER_PAPER,
        doi="10.1109/TAFFC.2025.3605475",
        licence="MIT",
        differences=(
            *EMBEDDING_MIXER_DIFFERENCES,
            "Fusion 1: the mean of a stream's tokens in the place of their sum, which is the same "
            "after standardising and does not depend on how many are missing.",
            "Fusion 2: the mean of probabilities; one mixer for all streams, or one each.",
            "Fusion N: the Video-Encoder gives 8 tokens; videos are added frame by frame.",
            "Whole streams may be left out at random in training. The paper does not.",
        ),
    ),
    Card(
        name="embedding_mixer",
        summary="PainFormer's Embedding-Mixer: cross- and self-attention over embeddings.",
        paper=EMBEDDING_MIXER_PAPER,
        doi="10.1109/TAFFC.2025.3605475",
        licence="MIT",
        differences=EMBEDDING_MIXER_DIFFERENCES,
    ),
    Card(
        name="full_transformer",
        summary="Cross- and self-attention over the vectors of a clip's frames.",
        paper=FULL_TRANSFORMER_PAPER,
        doi="10.48550/arXiv.2412.15095",
        licence="MIT",
        differences=FULL_TRANSFORMER_DIFFERENCES,
    ),
    Card(
        name="full_transformer_end_to_end",
        summary="Frame encoder and full transformer in one, on clips of pictures.",
        paper=FULL_TRANSFORMER_PAPER,
        doi="10.48550/arXiv.2412.15095",
        licence="MIT",
        input=InputSpec(shape=(138, 3, 224, 224), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        differences=FULL_TRANSFORMER_DIFFERENCES,
    ),
    Card(
        name="lstm",
        summary="Two layers of LSTM on raw signals, the mean of their states, a classifier.",
        paper="Hochreiter, Schmidhuber: Long short-term memory. Neural Computation 9, 1997",
        doi="10.1162/neco.1997.9.8.1735",
        licence="MIT",
        differences=(
            "The article that compares with it gives no sizes: 2 layers of 64 and means of 8 "
            "samples a step are ours.",
            "The classifier reads the mean of all states, not the last one.",
        ),
    ),
    Card(
        name="mte_mer",
        summary="Bidirectional LSTMs of video tokens and of signals, each scored against class "
        "vectors that are mapped into its space; either may be missing.",
        paper="Dai, Liu, Yu, Fung: Modality-transferable emotion embeddings for low-resource "
        "multimodal emotion recognition. AACL-IJCNLP 2020",
        doi="10.48550/arXiv.2009.09629",
        code="https://github.com/wenliangdai/Modality-Transferable-MER (CC BY 4.0; sizes)",
        licence="MIT",
        differences=(
            "A class's vector is GloVe's of an emotion word in the article, fixed; levels of pain "
            "have no such words, and no GloVe is here: the vectors are learned. What the article "
            "is about, classes that were never trained on, is thereby lost.",
            "Its text stream is gone. Its acoustic and visual features, made by others' tools, "
            "are here raw signals (means of `samples` a step) and the tokens of a video encoder.",
            "Of the article itself only the abstract was at hand; what is built follows the "
            "authors' public code. Nguyen et al. do not say what they fed it, nor its sizes: 100 "
            "numbers of video and 200 of signals are those of the authors' commands for video and "
            "voice.",
            "Scores are divided by the square root of the state's size, and the weights of the "
            "modalities that are there are made to add up to 1: neither is in the article.",
            "As in the authors' code the state read is that of the last step, where the backward "
            "direction has seen one step only.",
        ),
    ),
    Card(
        name="painattnnet",
        summary="Multiscale CNN, squeeze-excitation and transformer encoder on raw EDA.",
        paper="Lu, Ozek, Kamarthi: Transformer encoder with multiscale deep learning for pain "
        "classification using physiological signals. Frontiers in Physiology 14:1294577, 2023",
        doi="10.3389/fphys.2023.1294577",
        code="https://github.com/zhenyuanlu/PainAttnNet at d314456",
        licence="MIT",
        input=InputSpec(shape=(1, 2816), sampling_rate=512.0, unit="uS", scaling="none"),
        differences=(
            "Windows of other lengths than 2,816 samples are refused; the authors' code stops "
            "inside a linear layer.",
            "The two encoder layers start from different random weights; the authors copy one "
            "layer, so that theirs start with equal attention and feed-forward weights.",
            "The discarded LayerNorm before attention is not computed; its weights are kept.",
            "num_classes is an argument; the authors edit a line.",
        ),
    ),
    Card(
        name="painformer",
        summary="PainFormer: a face, thermal or depth frame, or a drawn signal, to 160 numbers.",
        paper="Gkikas, Fernandez Rojas, Tsiknakis: PainFormer: a Vision Foundation Model for "
        "Automatic Pain Assessment. IEEE Transactions on Affective Computing, 2025",
        doi="10.1109/TAFFC.2025.3605475",
        code="https://github.com/GkikasStefanos/PainFormer at 45f5963",
        licence="MIT",
        input=InputSpec(
            shape=(3, 224, 224),
            mean=(0.6068, 0.4517, 0.3800),
            std=(0.2492, 0.2173, 0.2082),
        ),
        differences=(
            "The authors' figure draws another mix of layers than their code; this is the code, "
            "which the published number of parameters matches.",
            "No stochastic depth, which the authors' code has as an option that is off.",
            "Spectral gating stays in the precision of its input; the authors' casts to float32.",
            "Pictures of other sizes than 224 take interpolated spectral weights; 224 is tested.",
        ),
    ),
    Card(
        name="perceptron",
        summary="One hidden layer with BatchNorm; for feature tables of any width.",
        licence="MIT",
    ),
    Card(
        name="resnet3d_18",
        summary="ResNet3D-18 on clips of pictures, trained from end to end.",
        paper="Hara, Kataoka, Satoh: Can spatiotemporal 3D CNNs retrace the history of 2D CNNs "
        "and ImageNet? CVPR 2018",
        doi="10.1109/CVPR.2018.00685",
        licence="MIT",
        input=InputSpec(shape=(16, 3, 224, 224), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        differences=(
            "The stem is R3D-18's of Tran et al.: it halves rows and columns and not time, and "
            "there is no pooling behind it.",
            "Fresh weights; the published ones are of Kinetics, and their licence is not stated "
            "here.",
        ),
    ),
    Card(
        name="signal_mae",
        summary="Transformer encoder of a masked autoencoder of signals: a token a sample, or "
        "their mean. Any number of channels; samples may be missing.",
        paper="Nguyen, Yang, Dao, Kim, Kim, Shin, Nguyen, Nguyen: Dual-stream transformer "
        "approach for pain assessment using visual-physiological data modeling. PeerJ Computer "
        "Science 11:e3158, 2025",
        doi="10.7717/peerj-cs.3158",
        code="https://github.com/mducducd/Multimodal_Pain at 3b5e185 (sizes)",
        licence="MIT",
        differences=(
            "Each channel has a second input that says which of its samples are masked or "
            "missing; the article sets them to 0 and says no more.",
            "BatchNorm leaves padding out of mean and variance.",
            "Scaling is a part of the network where train_robust is asked for, and travels with "
            "the weights.",
        ),
    ),
    Card(
        name="tnt_s_patch16_224",
        summary="Transformer in Transformer (Small): a picture to a vector of 384, or to logits.",
        paper="Han, Xiao, Wu, Guo, Xu, Wang: Transformer in Transformer. NeurIPS 2021",
        doi="10.48550/arXiv.2103.00112",
        code="https://github.com/huggingface/pytorch-image-models at v1.0.31 (names and numbers)",
        licence="Apache-2.0",
        input=InputSpec(shape=(3, 224, 224), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        differences=(
            "No dropout and no stochastic depth, which timm has as options that are off.",
            "Sizes are arguments; with the defaults it is TNT-S.",
        ),
    ),
    Card(
        name="transformer",
        summary="Transformer encoder on stretches of raw signals, mean over time, a classifier.",
        paper="Vaswani et al.: Attention is all you need. NeurIPS 2017",
        doi="10.48550/arXiv.1706.03762",
        licence="MIT",
        differences=(
            "A step is a linear map of a stretch of 16 samples of all channels; a text's words "
            "are looked up in a table.",
            "Encoder alone; the classifier reads the mean of the steps.",
            "The article that compares with it gives no sizes: they are those of its signal "
            "autoencoder.",
        ),
    ),
    Card(
        name="vggface_rnn",
        summary="VGG-Face (VGG-16) on each frame of a clip, an LSTM over the frames.",
        paper="Parkhi, Vedaldi, Zisserman: Deep face recognition. BMVC 2015; Bargshady et al.: A "
        "joint deep neural network model for pain recognition from face. ICCCS 2019",
        doi="10.5244/C.29.41",
        licence="MIT",
        input=InputSpec(
            (16, 3, 224, 224),
            mean=tuple(v / 255 for v in (129.1863, 104.7624, 93.594)),
            std=(1 / 255, 1 / 255, 1 / 255),
            scaling="0…255 minus the published mean of each colour",
        ),
        differences=(
            "No weights are here: VGG-Face's are for research, and not ours to give. Without "
            "backbone_weights the backbone is drawn at random, and the report says so.",
            "The articles were read in their abstracts alone. One LSTM layer of 256 numbers, and "
            "the mean of its states, are ours; so is fc7 as the vector of a frame.",
            "Principal components between the two, which later work of the same authors has, are "
            "left out: the LSTM's first matrix can learn them.",
        ),
    ),
    _video_mae("base", "86.2 M"),
    _video_mae("large", "303.9 M"),
    _video_mae("small", "21.9 M"),
    _video_mae("tiny", "5.6 M"),
    Card(
        name="vit3d",
        summary="3-D ViT on clips, from end to end: the encoder of video_mae with a classifier.",
        paper="Nguyen, Yang, Dao, Kim, Kim, Shin, Nguyen, Nguyen: Dual-stream transformer "
        "approach for pain assessment using visual-physiological data modeling. PeerJ Computer "
        "Science 11:e3158, 2025",
        doi="10.7717/peerj-cs.3158",
        licence="MIT",
        input=InputSpec((16, 3, 224, 224), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        differences=(
            "The article compares with a 3D-ViT and gives no sizes: here it is the article's own "
            "encoder, Tiny or Small, so that what pre-training adds can be read off.",
            "Mean of the tokens, then a linear layer; the article does not say.",
        ),
    ),
)
"""Sorted by name."""
