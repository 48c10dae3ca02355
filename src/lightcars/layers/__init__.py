"""Building blocks of models; they depend on torch only."""

from lightcars.layers.block_sequence import BlockSequence
from lightcars.layers.branched_conv import BranchedConv
from lightcars.layers.composite import Composite
from lightcars.layers.conv_act import ConvAct
from lightcars.layers.conv_norm_act import ConvNormAct, ConvStyle
from lightcars.layers.depthwise_separable import DepthwiseSeparable
from lightcars.layers.drop_path import DropPath
from lightcars.layers.fire import Fire
from lightcars.layers.fused_mbconv import FusedMBConv
from lightcars.layers.ghost import GhostBottleneck, GhostModule, GhostParts
from lightcars.layers.ghost_attention import AttentiveGhostModule
from lightcars.layers.harmonic_dense import HarmonicDenseBlock
from lightcars.layers.initialization import initialize
from lightcars.layers.mbconv import MBConv
from lightcars.layers.pooling import CeilMaxPool, GlobalAveragePool
from lightcars.layers.residual import Residual, is_residual
from lightcars.layers.shuffle import ShuffleUnit, ShuffleV2Unit
from lightcars.layers.squeeze_excite import ClampGate, SqueezeExcite
from lightcars.layers.squeezenext import SqueezeNextBlock
from lightcars.layers.universal_inverted_bottleneck import UniversalInvertedBottleneck

__all__ = [
    "AttentiveGhostModule",
    "BlockSequence",
    "BranchedConv",
    "CeilMaxPool",
    "ClampGate",
    "Composite",
    "ConvAct",
    "ConvNormAct",
    "ConvStyle",
    "DepthwiseSeparable",
    "DropPath",
    "Fire",
    "FusedMBConv",
    "GhostBottleneck",
    "GhostModule",
    "GhostParts",
    "GlobalAveragePool",
    "HarmonicDenseBlock",
    "MBConv",
    "Residual",
    "ShuffleUnit",
    "ShuffleV2Unit",
    "SqueezeExcite",
    "SqueezeNextBlock",
    "UniversalInvertedBottleneck",
    "initialize",
    "is_residual",
]
