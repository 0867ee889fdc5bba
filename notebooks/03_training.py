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
# [![Open in Kaggle](https://kaggle.com/static/images/open-in-kaggle.svg)](https://kaggle.com/kernels/welcome?src=https://github.com/aaz-imran/MultiMix/blob/main/notebooks/03_training.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/aaz-imran/MultiMix/main?labpath=notebooks/03_training.ipynb)
#
# Train MultiMix (Haque, Imran, Wang and Terzopoulos, ISBI 2021) on real chest X-rays of children, with 100 class
# labels and ten outlined films. Then one question: what do unlabelled films bring? All cells take one to two minutes on two idle CPU cores.
#
# Numbers differ a little between machines.

# %% cellView="form" tags=["bootstrap"]
#@title Find the project, or fetch it where the notebook stands alone (Colab, Kaggle)
import os
import runpy

start = next(filter(os.path.isfile, ("notebooks/start.py", "../notebooks/start.py")), "MultiMix/notebooks/start.py")
if not os.path.isfile(start) and os.system("git clone --depth 1 -c multimix.clone=1 https://github.com/aaz-imran/MultiMix MultiMix"):
    raise SystemExit("The project was not fetched. It takes git and the internet (on Kaggle: Settings, Internet on); "
                     "then run this cell again.")
_ = runpy.run_path(start)

# %%
import inspect
import shutil
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Code
from matplotlib_inline.backend_inline import set_matplotlib_formats
from PIL import Image

import multimix
from multimix import losses, training_step
from multimix.evaluation.figures import PREDICTED, TRUE, draw_film, draw_outline, show

# %% [markdown]
# ## The films
#
# `sample_data/small` has 760 films of children (Kermany and others 2018), reduced to 128 x 128 pixels. Each has its class, and lungs
# outlined by hand (V7 Labs). No patient is in both `train` and `test`.

# %%
set_matplotlib_formats("jpeg", dpi=80, pil_kwargs={"quality": 60})  # keeps the notebook small
SMALL = Path("sample_data/small")
table = pd.read_csv(SMALL / "films.csv")
test = table[table["split"] == "test"]
eight = pd.concat([test[test["label"] == "NORMAL"][:4], test[test["cause"] == "bacterial"][:2], test[test["cause"] == "viral"][:2]])
hand = [np.array(Image.open(SMALL / mask)) > 0 for mask in eight["mask"]]
figure, axes = plt.subplots(1, 8, figsize=(12, 2), layout="constrained")
for axis, path, label, mask in zip(axes, eight["path"], eight["label"], hand):
    draw_film(axis, np.array(Image.open(SMALL / path)))
    draw_outline(axis, mask, TRUE)
    axis.set(title=label, xticks=[], yticks=[])
show("Eight small chest X-rays of children, four NORMAL and four PNEUMONIA, with both lungs outlined in green")

# %% [markdown]
# **What to see.** The outlines contain whole lungs, also behind the heart and where pneumonia makes them white.
#
# ## Few labels
#
# The network may use 100 of the class labels and ten of the outlines. The other training films count as **unlabelled**. `Config` holds every
# number of a training. The recipe `quick` changes the paper's settings, so that minutes are enough. The printed lambda, t, alpha and beta belong
# to the losses below.

# %%
config = multimix.Config.preset(
    "multimix", recipe="quick", class_labels=100, masks=10,
    side=64, sides=(), class_sides=(),  # px; the recipe has 64 to 96
    steps=200, validate_every=20,  # the recipe has 800 steps
    unlabelled_from=0.5,  # unlabelled films join half-way; the recipe waits longer
    precision="auto")  # bfloat16 on newer CPUs: faster
films = multimix.load_films(SMALL, SMALL, config.side, progress=False)

# %% tags=["nbval-check-output"]
print(table.groupby(["split", "label"]).size().to_string())
print(f"lambda {config.pseudo_label_weight}, t {config.threshold}, alpha {config.dice_weight}, "
      f"beta {config.mask_consistency_weight}")

# %% [markdown]
# ## One step: five batches
#
# Each step takes labelled and unlabelled films for both tasks. An unlabelled class film comes twice: as a weak and as a strong view. A
# film of each batch, and a mask:

# %%
from multimix.batches import Loader

batch = Loader(films, config)(150)
shown = {"class, labelled": batch.class_films, "class, unlabelled:\nweak view": batch.weak, "the same film:\nstrong view": batch.strong,
         "lungs, labelled": batch.mask_films, "its mask": batch.masks * 2 - 1, "lungs, unlabelled": batch.unlabelled_mask_films}
figure, axes = plt.subplots(1, 6, figsize=(12, 2.6), layout="constrained")
for axis, (name, stream) in zip(axes, shown.items()):
    axis.imshow(stream[0, 0], cmap="gray", vmin=-1, vmax=1)
    axis.set(title=name, xticks=[], yticks=[])
show("Six small pictures: a labelled class film, the weak and the strong view of an unlabelled one, a film with lungs, its mask, "
     "and a film without a mask")

# %% [markdown]
# **What to see.** The weak view is only mirrored or shifted. The strong view also changes greys or geometry. The class stays the same.
#
# ## The class loss
#
# $$L_{class}=\frac1N\sum_n CE(f(x_n),y_n)\;+\;\lambda\,\frac1N\sum_n\big[\max\,p_n\ge t\big]\;CE\big(f(s_n),\arg\max p_n\big)$$
#
# $f$ is the class head's output, $CE$ the cross-entropy. The first sum runs over labelled films $x_n$ with classes $y_n$. In the second,
# $p_n$ are the class probabilities of the **weak** view.
# If the largest is at least $t$, that class becomes the **pseudo-label** of the strong view $s_n$.

# %%
Code(inspect.getsource(losses.pseudo_label_loss), language="python")

# %% [markdown]
# ## The lung loss
#
# $$L_{seg}=\alpha\,D(\hat y,y)+\beta\,KL(\hat y\,\|\,\hat u)\qquad D(\hat y,y)=1-\frac{2\sum\hat y\,y+1}{\sum\hat y+\sum y+1}$$
#
# $\hat y$ is the predicted map of lung probability of a film with mask $y$. $\hat u$ is the map of a film without a mask. The term $D$
# (`dice` below) is 1 less the Dice: 0 is best. The KL term compares the two maps pixel by pixel, so that films with and without masks get
# similar lungs (in the published code it was always 0, by a softmax over one channel):

# %%
Code(inspect.getsource(losses.mask_consistency_loss), language="python")

# %% [markdown]
# The whole loss is $L = L_{class} + L_{seg}$. `quick` adds two terms: cross-entropy of the mask, and consistency of each pixel between
# two views. Every term for the batch above, before training:

# %%
torch.manual_seed(0)
untrained = multimix.MultiMix()
untrained.info.side = config.side
terms = training_step.train_step(untrained.train(), batch, config)
weights = {"classification": 1, "pseudo_label": config.pseudo_label_weight, "dice": config.dice_weight, "mask_bce": config.bce_weight,
           "mask_consistency": config.mask_consistency_weight, "pixel_consistency": config.pixel_consistency_weight}
parts = pd.DataFrame({"term": {name: terms[name].item() for name in weights}, "weight": weights})
parts["part of the loss"] = parts["term"] * parts["weight"]
print(f"the parts add up to the total: {abs(parts['part of the loss'].sum() - terms['total'].item()) < 1e-4}")
parts.round(4)

# %% [markdown]
# **What to see.** Most of the loss comes from the masks (`dice` and `mask_bce`). The pseudo-label term and `pixel_consistency` are about
# 0: an untrained network is certain of hardly any film or pixel.
#
# ## Train
#
# `train` takes the configuration, the films and a folder. It sets some training patients aside for validation, and writes a log and the
# network that is best on them. We keep a copy of the network half-way.

# %%
out = Path("runs/notebook03")
shutil.rmtree(out, ignore_errors=True)
log = []


def keep(row):
    log.append(row)
    if row["step"] == config.steps // 2:
        shutil.copy(out / "last.pth", out / "half-way.pth")


model = multimix.train(config, films, out, progress=False, on_validation=keep)
log = pd.DataFrame(log).set_index("step")
print(f"{config.steps} steps; validation AUC {log['val_auc'].iloc[-1]:.2f}, Dice {log['val_dice'].iloc[-1]:.2f}")

# %%
figure, axes = plt.subplots(2, 4, figsize=(12, 5), layout="constrained")
curves = {name: name.replace("_", " ") for name in weights} | {"val_auc": "validation AUC", "val_dice": "validation Dice"}
for axis, (column, title) in zip(axes.flat, curves.items()):
    axis.plot(log.index, log[column], ".-", color=PREDICTED if column in weights else TRUE)
    axis.axvline(config.steps * config.unlabelled_from, color="grey", ls="--", lw=1)
    axis.set(title=title, xlabel="step")
    axis.set_ylim(bottom=0 if column in weights else None)
show("Eight curves over the steps: six terms of the loss, and AUC and Dice of the validation films, which rise")

# %% [markdown]
# **What to see.** The terms of labelled films (classification, dice, mask bce) fall. The other three are 0 until unlabelled films join
# at the dashed line. The KL term (mask consistency) does not fall: the maps become certain, and patients differ. Its weight of 0.01 keeps
# its part of the loss small. AUC (0.5: guessing, 1: perfect) and Dice of the 60 validation films rise.
#
# ## Before, half-way, at the end

# %%
half = multimix.load_model(out / "half-way.pth", device="cpu")
stages = {"before training": untrained.eval(), "half-way": half, "at the end": model}
for name, network in stages.items():
    figure, axes = plt.subplots(1, 8, figsize=(12, 2.1), layout="constrained")
    for axis, path, label, mask in zip(axes, eight["path"], eight["label"], hand):
        p = multimix.predict(network, SMALL / path, invert="never")
        draw_film(axis, p.film)
        draw_outline(axis, mask, TRUE)
        draw_outline(axis, p.mask, PREDICTED)
        axis.set_title(f"{p.label}\n{p.probability:.2f}", fontsize=9, color="black" if p.label == label else "red")
        axis.set_axis_off()
    figure.suptitle(name, fontsize=10)
    show(f"The eight test films {name}, with the lungs outlined by hand in green and the predicted ones in orange")

# %% [markdown]
# **What to see.** Green is by hand, orange predicted; a red title is a wrong class. Before training the outline is noise. Half-way the
# lungs are found, and at the end fit a little better. The class is harder, and a film can be right half-way and wrong at the end.
#
# ## All 160 test films

# %%
results = multimix.evaluate(model, films)
METRICS = {"auc": "AUC", "accuracy": "accuracy", "dice": "Dice", "hd95": "95 % Hausdorff distance, px at 256"}
rows = {}
for name, title in METRICS.items():
    low, high = results.intervals[name]
    rows[title] = {"this network": f"{results[name]:.3f}", "95 % interval": f"{low:.3f} to {high:.3f}",
                   "trivial output": f"{results.baseline[name]:.3f}" if name in results.baseline else ""}
pd.DataFrame(rows).T

# %% [markdown]
# **What to see.** The trivial outputs do not look at the film: always the same class, and the mean mask of the training films. The mean
# mask alone has a high Dice, because all lungs look similar. The Hausdorff distance: how far apart the outlines lie at worst; small is
# good. The AUC is lower than on the validation films above: those are of Kermany's training half, and the test half differs.
#
# ## What do unlabelled films bring?
#
# The training above used every part at once. To see the unlabelled films' part, the classifier alone was trained twice, from the
# same labels: without unlabelled films (`enc`) and with pseudo-labels on them (`enc_ssl`). This was done with four seeds, 400 steps at
# 64 px, and 20 or 100 labels. A seed draws the labels, the first weights and every view. `notebooks/03_training/make_seeds.py` made the
# table.

# %%
from scipy import stats

seeds = pd.read_csv("notebooks/03_training/seeds.csv")
figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained", sharey=True)
for axis, (count, runs) in zip(axes, seeds.groupby("class_labels")):
    auc = runs.pivot(index="seed", columns="system", values="auc")
    gain = auc["enc_ssl"] - auc["enc"]
    half_width = stats.t.ppf(0.975, len(gain) - 1) * stats.sem(gain)
    axis.plot(["labels alone", "with unlabelled films"], auc[["enc", "enc_ssl"]].T, "o-", color="grey", lw=1)
    axis.plot([0, 1], auc[["enc", "enc_ssl"]].mean(), "D", color="black")
    axis.set_title(f"{count} labels: gain {gain.mean():+.3f} [{gain.mean() - half_width:+.3f}, {gain.mean() + half_width:+.3f}]", fontsize=10)
    axis.margins(x=0.25)
axes[0].set_ylabel("AUC, 160 test films")
show("Two panels of four lines each, from labels alone to labels with unlabelled films: the AUC of each seed")

# %% [markdown]
# **What to see.** Grey lines are seeds, diamonds their means; titles give the mean gain with its 95 % interval over the seeds. **No gain is
# shown**: both intervals contain 0. With 20 labels two seeds gain and two lose, and the seed matters far more (AUC .78
# to .93 without unlabelled films). With 100 labels three of four gain a little. These are small trainings at one setting, not tuned.
# `05_paper_table` has larger ones, and shows no gain either.
#
# ## On your own films
#
# ```python
# config = multimix.Config.preset("multimix", recipe="quick", class_labels=100, masks=10)
# films = multimix.load_films("chest_xray", "lungs", config.side, cache="runs/cache")
# model = multimix.train(config, films, out="runs/few")  # resume=True continues it
# multimix.evaluate(model, films)
# ```
#
# `recipe="improved"` uses larger films and takes some four times as long. `recipe="paper"` is the published training: 52,200 steps at
# 256 px: days on two cores, or a GPU. Next: `04_your_own_data` adapts a network to other films.
