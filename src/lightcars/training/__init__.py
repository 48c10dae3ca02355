"""Training: the job, Lightning's module and callbacks, data loaders, optimizers, DDP."""
