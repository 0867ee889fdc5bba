# ---
# jupyter:
#   accelerator: GPU
#   colab:
#     gpuType: T4
#     provenance: []
#   jupytext:
#     cell_metadata_filter: tags,cellView,-all
#     notebook_metadata_filter: kernelspec,accelerator,colab,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Train MultiMix step by step
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/aaz-imran/MultiMix/blob/main/notebooks/03_training.ipynb)
#
# The method of Haque, Imran, Wang and Terzopoulos (ISBI 2021), one part at a time: the films that enter a step, the views
# made of them, every term of the loss. Then two small trainings with the same few labels, one with the unlabelled films
# and one without, and what the difference is.
#
# **It trains on synthetic films at 64 px** in a few minutes on a CPU: that proves the loop, not the scores. The
# last section names what to change for real folders.

# %% tags=["bootstrap"]
import importlib.util
import os
import subprocess
import sys

REPOSITORY = "https://github.com/aaz-imran/MultiMix"
if not os.path.isdir("multimix"):  # in notebooks/ of a checkout, or alone, as on Colab
    if not os.path.isdir("../multimix") and not os.path.isdir("MultiMix"):
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", REPOSITORY, "MultiMix"], check=True)
    os.chdir(".." if os.path.isdir("../multimix") else "MultiMix")
if any(importlib.util.find_spec(name) is None for name in ("torch", "filelock", "pydicom")):
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "-r", "requirements.txt"], check=True)
sys.path.insert(0, os.getcwd())

# %%
import inspect

import matplotlib.pyplot as plt
import torch
from matplotlib_inline.backend_inline import set_matplotlib_formats

import multimix
from multimix.batches import Loader
from multimix.training_step import class_terms, mask_terms, train_step

set_matplotlib_formats("jpeg", pil_kwargs={"quality": 85})  # keeps the notebook small
films = multimix.load_films("phantom://400", "phantom://400", side=64, progress=False)

# %% [markdown]
# ## The labels that training may see
#
# A configuration holds every number of a training, with the paper's symbol beside it. This one has the paper's losses, and
# for so short a training another schedule, averaged weights and bent lung films. Of 320 training films for each task,
# 20 keep their class and 5 their mask; all others are there without.

# %% tags=["nbval-check-output"]
config = multimix.Config.preset("multimix", recipe="paper", class_labels=20, masks=5, side=64, steps=180,
                                validate_every=30, widths=(8, 16, 32, 64, 64), schedule="cosine",
                                learning_rate=3e-3, ema_decay=0.98, mask_augmentation=True, seed=1)
loader = Loader(films, config)
print(loader.describe())
print(f"lambda {config.pseudo_label_weight}, t {config.threshold}, alpha {config.dice_weight}, "
      f"beta {config.mask_consistency_weight}")

# %% [markdown]
# ## Four streams, five batches
#
# A step takes labelled and unlabelled films for each task. The unlabelled class films come twice: in a weak view and in
# a strong one.

# %%
batch = loader(0)
rows = {"class films, labelled": batch.class_films, "unlabelled, weak view": batch.weak,
        "the same, strong view": batch.strong, "lung films, labelled": batch.mask_films,
        "their masks": batch.masks * 2 - 1, "lung films, unlabelled": batch.unlabelled_mask_films}
figure, axes = plt.subplots(6, 8, figsize=(11, 7.2), layout="constrained")
for line, (name, stream) in zip(axes, rows.items()):
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for axis, film in zip(line, stream):
        axis.imshow(film[0], cmap="gray", vmin=-1, vmax=1)
        axis.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# **What to see.** The weak view is a flip and a shifted crop. The strong one adds up to two operations: look for films
# that are turned, sheared, faded, posterized or partly negative. A film's class survives all of that, which is the
# point. The lung films are bent as well, and their masks with them.

# %% [markdown]
# ## One step of the method
#
# This is the whole of it: the paper's equation 1 weights the terms, 2 makes those of the class, 3 those of the lungs.

# %%
for equation in (train_step, class_terms, mask_terms):
    print(inspect.getsource(equation))

# %% [markdown]
# On a network with fresh weights the terms look like this. `kept` is the share of unlabelled films whose pseudo-label was
# sure enough to count.

# %%
torch.manual_seed(0)
fresh = multimix.MultiMix(config.widths).train()
terms = {name: term.item() for name, term in train_step(fresh, batch, config).items()}
for name, value in terms.items():
    print(f"{name:17} {value:.4f}")

# %% tags=["nbval-check-output"]
total = (terms["classification"] + 0.25 * terms["pseudo_label"] + 5 * terms["dice"] + 0.01 * terms["mask_consistency"])
print("their weighted sum is the total:", abs(total - terms["total"]) < 1e-4)
for name in ("classification", "dice", "mask_consistency"):
    print(f"{name} is above zero:", terms[name] > 0)

# %% [markdown]
# Cross-entropy starts near ln 2 = 0.69, as for a coin. `pseudo_label` is zero as long as no weak view is sure enough
# (`kept` is zero then, too). The KL term `mask_consistency` was always exactly zero in the
# published code; here it is a divergence between two maps of lung probability, and has a gradient.

# %% [markdown]
# ## Train, with the unlabelled films and without
#
# `on_validation` is called at every validation: here it redraws the curves. Both trainings see the same labels and make the same
# number of steps.

# %%
import shutil
from dataclasses import replace

from IPython.display import display

from multimix.recipes import SYSTEMS

# %%
history = {}


def draw():
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
    for (name, rows), colour in zip(history.items(), ("#0072B2", "#D55E00")):
        steps = [row["step"] for row in rows]
        for axis, what in zip(axes, ("total", "val_auc", "val_dice")):
            axis.plot(steps, [row[what] for row in rows], "o-", color=colour, label=name)
            axis.set(title=what.replace("val_", "validation "), xlabel="step")
    axes[1].legend()
    plt.close(figure)
    return figure


# %%
handle = display("training …", display_id=True)
models = {}
for name, system in (("with unlabelled films", "multimix"), ("without", "umtl_s")):
    history[name] = []
    shutil.rmtree(f"runs/notebook03/{system}", ignore_errors=True)

    def redraw(row, rows=history[name]):
        rows.append(row)
        handle.update(draw())

    models[name] = multimix.train(replace(config, **SYSTEMS[system]),
                                  films, f"runs/notebook03/{system}", device="cpu", progress=False,
                                  on_validation=redraw)

# %% [markdown]
# **What to see.** Both learn: the loss falls, and lungs are found well from five masks. Which curve of the AUC lies
# higher is a matter of luck here, as the next table shows.

# %%
for name, model in models.items():
    results = multimix.evaluate(model, films, "test")
    print(f"{name:22} accuracy {results['accuracy']:.2f}  AUC {results['auc']:.3f}  Dice {results['dice']:.3f}")

# %% [markdown]
# There are 40 test films, so a single one moves the accuracy by 2.5 points. These same settings, with five seeds each and the
# parts of the method switched on one by one (`Config.preset(NAME, …)`), gave on the test films:
#
# | | unlabelled films | bridge | AUC, mean | lowest to highest | Dice, mean |
# |---|---|---|---|---|---|
# | `umtl` | no | no | .876 | .840 to .898 | .933 |
# | `umtl_s` | no | yes | .879 | .775 to .985 | .926 |
# | `umtl_ssl` | pseudo-labels | no | .836 | .555 to .995 | .929 |
# | `multimix` | pseudo-labels and KL | yes | .854 | .550 to .980 | .932 |
#
# The best runs are those with unlabelled films, and so is the worst: where the first guesses are wrong, pseudo-labels
# confirm them. The means lie closer together than the runs of one row, and even another number of CPU threads moves a run
# by some hundredths. So synthetic films at 64 px prove that every part works, not what it brings. That takes real films,
# full trainings and paired tests: `python -m multimix sweep`.

# %% [markdown]
# ## Pseudo-labels, kept and dropped
#
# The trained network looks at weak views of films whose class it was never told. Those that it is at least 70 % sure of
# would teach; the others are left alone.

# %%
model, batch = models["with unlabelled films"], loader(1000)
with torch.no_grad():
    confidence, pseudo_labels = model.classify(batch.weak).softmax(1).max(1)
figure, axes = plt.subplots(2, 5, figsize=(11, 5), layout="constrained")
for axis, film, sure, label in zip(axes.flat, batch.weak, confidence, pseudo_labels):
    kept = sure >= config.threshold
    axis.imshow(film[0], cmap="gray", vmin=-1, vmax=1)
    axis.set_title(f"{multimix.model.CLASSES[label]} {sure:.2f}\n{'kept' if kept else 'dropped'}",
                   color="#0072B2" if kept else "#D55E00", fontsize=10)
    axis.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ## On real folders
#
# One cell to change: the folders, and the recipe.
#
# ```python
# config = multimix.Config.preset("multimix", recipe="quick", class_labels=100, masks=10, precision="bfloat16")
# films = multimix.load_films("chest_xray", "jsrt", config.side, cache="runs/cache")
# model = multimix.train(config, films, out="runs/few")  # with resume=True it goes on
# multimix.evaluate(model, films, "test")
# ```
#
# The recipe `quick` shows the films at 64 to 96 px and takes two minutes on two CPU cores, with `precision="bfloat16"` where
# the processor has it (measured; `tests/benchmarks`); `improved`, at 96 to 160 px, some four times as long (estimated). The
# paper's 52,200 steps at 256 px take a week as they were published, and two days in bfloat16 here. They want a GPU, on
# which nothing has been timed yet, neither on Colab's T4 nor on an H200: the bar shows the time left after a few steps. On
# Colab choose Runtime, Change runtime type, T4; the device is found by itself.
#
# Next: `04_your_own_data` does this for folders of your own.
