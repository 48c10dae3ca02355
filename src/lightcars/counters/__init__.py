"""Honest counters of parameters and arithmetic, for any `nn.Module`."""
