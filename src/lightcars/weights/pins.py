"""Commits and digests of timm's repositories on the Hugging Face Hub. No torch.

From pages of the Hub that show the whole hash, or from public code that loads this commit or verifies this
digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_REVISIONS = {
    "efficientnet_b0.ra4_e3600_r224_in1k": "1efd3beedccfd00f9de56a5875041a709f3058e2",
    "efficientnet_b0.ra_in1k": "1b5383e5f79cc0f7fc067e372f8f26a5fa73f26a",
    "efficientnet_b1.ft_in1k": "1d6ddfd0ad535646fdb05bc3834913d93816152e",
    "efficientnet_b2.ra_in1k": "3577c4a7d84723645311bb5a9e5086f1b62ec8e2",
    "efficientnet_b3.ra2_in1k": "707c9b711f7f114b4c1601d566a4aaf9fdba4a49",
    "tf_efficientnet_b0.in1k": "a06a8843478759a4040a6ff0c538cc6e38537384",
    "tf_efficientnet_b1.aa_in1k": "8e7b8d9bad29023ec0caba06cd176fa53de49416",
    "tf_efficientnet_b2.aa_in1k": "99149aafd9bb256a0178f14ca9ab24deec5eb2a8",
    "tf_efficientnet_b2.in1k": "3e01dbe00212e5f9f8713cf7b27d717adc1ae5dc",
    "tf_efficientnet_b3.ns_jft_in1k": "fd765843d68fcbba2757c8cf89e810efc350bc7d",
    "tf_efficientnet_b4.ns_jft_in1k": "40be4c2e3f4a91b2d9772137bfc2ea959e6e5260",
    "tf_efficientnetv2_s.in21k_ft_in1k": "ea9abc143ea2b9d8e1ec1de277bce02149b9cf0e",
    "ghostnet_100.in1k": "700dcdf6314c1b68f170e6ba1ee85ee94e5b37b5",
}
_SHA256 = {
    "efficientnet_b0.ra_in1k": "d569899762ea9b1384ee07f4af64805cf8caa1c55f9253ebb1080dc40e87a2cd",
    "efficientnet_b1.ft_in1k": "2eb860ed42ef594b3ae479669e306927bb4d4018e246e38f512b6b25b1734f6e",
    "efficientnet_b2.ra_in1k": "e9adbcce7e5d5055c571c4cafdcc7f920b6a6ec42e643c49dff1aabe1d5f53c5",
    "efficientnet_b3.ra2_in1k": "279d2a53898aa89dab43fd6bd7df9f706aea4cb9cf916223988bbcb8e5850469",
    "efficientnet_b4.ra2_in1k": "8030f9c929ed71a06728db4b61323960e573b463e68f310bd1bfb31ed62cbf91",
    "efficientnet_b5.sw_in12k_ft_in1k": "0e5c09ad618a28d977acf8b7846105443c553a4b425dddb54598a0ac6088aca7",
    "tf_efficientnet_b0.aa_in1k": "bc97e48e1360ee9d9c9d8a39ad2fb9b85ad150eb89d6fc69cd0f08301b5e0b3e",
    "tf_efficientnet_b0.ap_in1k": "07f60b4aa1a82bb743812f5c53cc5e56ec9c8d770ecdc11fdb52df67a2e4269d",
    "tf_efficientnet_b1.aa_in1k": "44df4f85e844442fe761fb0ce92a9e4b96b2ec5d209e9169956fe033da180145",
    "tf_efficientnet_b2.aa_in1k": "08d7bd5d858873cb1a829f51c01811c75117665b1de91c215acbcf836a23a5c9",
    "tf_efficientnet_b2.in1k": "7baae812d58f483b6c3ada0e445b93c40740776a5d007bf0fdbf8a4adfa5f348",
    "tf_efficientnet_b2.ns_jft_in1k": "d441728dab04096ffe5ba9fd85d9d7b7d988b0457273e683f9aba17d8e9c58c3",
    "tf_efficientnetv2_s.in21k_ft_in1k": "6f1933fb6c0d760eae03863ad0110570393e16c0610f8fe94dc9f978e52ec59c",
    "ghostnet_100.in1k": "8efbcf55d97872c828768b096d4ebebc51f8b7e29623fd3b3933d78cc230e2e2",
}

HUB_REVISIONS: Mapping[str, str] = MappingProxyType(_REVISIONS)
"""Commits with `model.safetensors`, by the name of the weights."""

HUB_SHA256: Mapping[str, str] = MappingProxyType(_SHA256)
"""Digests of `model.safetensors`, by the name of the weights."""
