"""GhostNet (Han et al., arXiv 1911.11907), in its official form and in the 2020 thesis's."""
