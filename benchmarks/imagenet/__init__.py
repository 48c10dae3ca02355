"""ImageNet weights: whether they keep their accuracy in each precision."""
