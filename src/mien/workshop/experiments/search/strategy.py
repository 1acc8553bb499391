"""How a search chooses the settings of a trial, and when it gives one up."""

from __future__ import annotations

import optuna

from mien.workshop.experiments.search.plan import Search, first_choice


def create_sampler(search: Search, number: int) -> optuna.samplers.BaseSampler:
    """The sampler of a study's trial of this number."""
    seed = (search.search.seed * 1_000_003 + number) % 2**32
    if search.search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=search.search.startup, constant_liar=True)


def create_pruner(search: Search) -> optuna.pruners.BasePruner:
    """The pruner; a trial is looked at after each epoch but those of its warm-up."""
    budget = search.search
    if budget.pruner == "none":
        return optuna.pruners.NopPruner()
    if budget.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=budget.startup, n_warmup_steps=budget.warmup_epochs + 1)
    longest = search.bounds.get("fit.epochs")
    ends = [int(value) for value in longest.samples.values()] if longest else []
    most = max(ends) if ends else search.config(first_choice(search)).fit.epochs
    return optuna.pruners.HyperbandPruner(min_resource=budget.warmup_epochs + 1, max_resource=most)
