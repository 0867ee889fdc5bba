# ---
# jupyter:
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
# # What the classifier looked at, and what the segmenter does with it
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/aaz-imran/MultiMix/blob/main/notebooks/02_saliency.ipynb)
# [![Open in Kaggle](https://kaggle.com/static/images/open-in-kaggle.svg)](https://kaggle.com/kernels/welcome?src=https://github.com/aaz-imran/MultiMix/blob/main/notebooks/02_saliency.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/aaz-imran/MultiMix/main?labpath=notebooks/02_saliency.ipynb)
#
# MultiMix joins its two tasks by a **saliency bridge**: a map of what moved the class score enters the decoder that draws
# the lungs. Here you make that map by hand, cut the bridge, and see what the map does not show.

# %% cellView="form" tags=["bootstrap"]
#@title Find the project, or fetch it where the notebook stands alone (Colab, Kaggle)
import os
import runpy

start = next(filter(os.path.isfile, ("notebooks/start.py", "../notebooks/start.py")), "MultiMix/notebooks/start.py")
if not os.path.isfile(start) and os.system("git clone --depth 1 -c multimix.clone=1 https://github.com/aaz-imran/MultiMix MultiMix"):
    raise SystemExit("The project was not fetched. It takes git and the internet (on Kaggle: Settings, Internet on); then run this cell again.")
_ = runpy.run_path(start)

# %%
import inspect

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib_inline.backend_inline import set_matplotlib_formats

import multimix
from multimix.images.reading import network_input, picture_for_network, read_mask
from multimix.model import bridge_maps

set_matplotlib_formats("jpeg", pil_kwargs={"quality": 80})  # keeps the notebook small
model = multimix.load_model(device="cpu")
path = "sample_data/phantom_pneumonia_2.png"

# %%
p = multimix.predict(model, path)
p.plot()
plt.show()

# %% [markdown]
# **What to see.** There are white patches in the lower halves of both lungs. The heat gathers where a change of grey would move
# the score most: at the patches, and at other places besides.

# %% [markdown]
# ## One gradient makes the map
#
# The network's class score is a function of 50,176 pixels. Its gradient says, for each of them, how much the score would
# change if the pixel changed a little. The map is the size of that gradient, for the class that won:

# %%
print(inspect.getsource(multimix.MultiMix._encode_with_saliency))

# %% [markdown]
# By hand it takes four lines. `picture_for_network` reduces the film to the network's 224 x 224, `network_input` scales it to [-1, 1].

# %% tags=["nbval-check-output"]
x = network_input(torch.from_numpy(picture_for_network(path, model.side).copy())[None, None])
x.requires_grad_()
score = model.classify(x).max()
by_hand, = torch.autograd.grad(score, x)

out = model(x)
print("the same map:", torch.allclose(by_hand.abs(), out.saliency))

# %% [markdown]
# ## How it enters the decoder
#
# Film and map are reduced to an eighth and joined to the decoder's input at its lowest stage, beside the encoder's own
# features. Two channels of 28 x 28 are all that crosses the bridge.

# %%
print(inspect.getsource(bridge_maps))

# %%
bridge = bridge_maps(x, out.saliency).detach()
figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
for axis, channel, title, colours in zip(axes, bridge[0], ("film", "saliency"), ("gray", "magma")):
    figure.colorbar(axis.imshow(channel, cmap=colours), ax=axis, shrink=0.8)
    axis.set(title=f"{title}, as it crosses the bridge", xticks=[], yticks=[])
plt.show()

# %% [markdown]
# **What to see.** The map is coarse after the reduction, and its values are small beside the film's: it is not scaled.

# %% [markdown]
# ## Cut the bridge
#
# The decoder can be run on the same features with something else on the bridge: nothing at all, or the map of
# another film. The exact lungs of this synthetic film are known, so each mask can be scored.

# %%
other = network_input(torch.from_numpy(picture_for_network("sample_data/phantom_normal_2.png", model.side).copy())[None, None])
with torch.no_grad():
    _, maps = model.encoder(x)
    bridges = {"as it is": bridge, "no saliency": bridge * torch.tensor([1, 0]).view(1, 2, 1, 1),
               "another film's": bridge_maps(x, model.saliency(other)), "nothing": torch.zeros_like(bridge)}
    masks = {name: torch.sigmoid(model.decoder(maps, crossing))[0, 0] for name, crossing in bridges.items()}

# %%
truth = torch.from_numpy(read_mask(["sample_data/masks/phantom_pneumonia_2.png"], model.side))
for name, mask in masks.items():
    dice = 2 * ((mask > 0.5) & truth).sum() / ((mask > 0.5).sum() + truth.sum())
    moved = (mask - masks["as it is"]).abs()
    print(f"{name:15} Dice {dice:.3f}   largest change {moved.max():.3f}   pixels that changed sides "
          f"{((mask > 0.5) != (masks['as it is'] > 0.5)).sum()}")

# %%
figure, axes = plt.subplots(1, 4, figsize=(13, 3.6), layout="constrained")
for axis, (name, mask) in zip(axes, masks.items()):
    axis.imshow(x[0, 0].detach(), cmap="gray")
    moved = mask - masks["as it is"]
    change = axis.imshow(moved, cmap="RdBu", vmin=-0.05, vmax=0.05, alpha=(moved.abs() * 20).clamp(max=1).numpy())
    axis.contour(mask, levels=[0.5], colors=["#56B4E9"])
    axis.set(title=name, xticks=[], yticks=[])
figure.colorbar(change, ax=axes, label="change of the lung probability", shrink=0.8)
plt.show()

# %% [markdown]
# **What to see.** Nearly nothing moves (mind the scale: five hundredths at its ends). Without the saliency no pixel changes sides,
# and without the whole bridge five do, at the border. The bundled network learnt from all masks, and its decoder
# finds the lungs in the encoder's features alone; the paper reports the bridge's gain with ten masks. What it brings to a
# network has to be measured for that network, as here.

# %% [markdown]
# ## Two other ways to ask
#
# A plain gradient is noisy. **SmoothGrad** averages the gradients of noisy copies of the film. **Occlusion** uses no
# gradient at all: it covers one patch after another with grey and notes how the probability falls.

# %%
def smooth_gradient(film, copies=16, noise=0.1):
    chance = torch.Generator().manual_seed(0)
    noisy = film + noise * torch.randn(copies, *film.shape[1:], generator=chance)
    return model.saliency(noisy).mean(0)[0]


def occlusion(film, patch=32, stride=16):
    base = model.classify(film).softmax(1).max(1)
    corners = range(0, film.shape[-1] - patch + 1, stride)
    places = [(r, c) for r in corners for c in corners]
    covered = film.repeat(len(places), 1, 1, 1)
    for picture, (r, c) in zip(covered, places):
        picture[:, r:r + patch, c:c + patch] = 0
    fall = torch.cat([base.values - model.classify(part).softmax(1)[:, base.indices[0]] for part in covered.split(15)])
    return fall.view(1, 1, len(corners), len(corners))


# %%
with torch.no_grad():
    film = x.detach()
    fall = torch.nn.functional.interpolate(occlusion(film), film.shape[-1], mode="bilinear", align_corners=False)
    attributions = {"gradient": out.saliency[0, 0], "SmoothGrad": smooth_gradient(film), "occlusion": fall[0, 0]}

figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
for axis, (name, heat) in zip(axes, attributions.items()):
    axis.imshow(film[0, 0], cmap="gray")
    shown = axis.imshow(heat, cmap="magma", alpha=0.6, vmin=0, vmax=max(heat.flatten().quantile(0.995).item(), 1e-9))
    axis.set(title=name, xticks=[], yticks=[])
    figure.colorbar(shown, ax=axis, shrink=0.8)
plt.show()

# %% [markdown]
# **What to see.** Occlusion finds the patches of both lungs, and nothing else. The two gradients also light up the middle of a
# lung and the belly, where nothing is wrong: covering these hardly changes the answer. One map alone would have misled.

# %% [markdown]
# ## A sanity check
#
# A map that shows what was *learnt* must change when the learning is undone. The same film goes through a network with
# fresh random weights; the rank correlation tells how alike the two maps are, 1 for the same order of pixels.

# %%
from scipy.stats import spearmanr

torch.manual_seed(0)
untrained = multimix.MultiMix().eval()
learnt, random = (torch.nn.functional.avg_pool2d(m.saliency(film), 8).flatten() for m in (model, untrained))
print(f"rank correlation with an untrained network's map: {spearmanr(learnt, random).statistic:.2f}")

# %% [markdown]
# The two maps agree in part, since both follow the edges of the film: that part of a map tells nothing of what was
# learnt.

# %% [markdown]
# ## Is it looking at the lungs?
#
# A class can be read from what is not the lungs: the size of the child, a hospital's letters, the framing. So take parts of a film
# away, with its mean grey in their place, and ask again. `films` may be a folder of your own.

# %%
from skimage.morphology import convex_hull_image

films = "sample_data"

def versions(p):
    hull, grey = convex_hull_image(p.mask), int(p.film.mean())
    return {"whole": p.film, "lungs alone": np.where(p.mask, p.film, grey), "lungs removed": np.where(p.mask, grey, p.film),
            "hull removed": np.where(hull, grey, p.film)}

print("probability of PNEUMONIA  whole  lungs alone  lungs removed  hull removed")
for p in multimix.predict_iter(model, films):
    parts = [part.astype(np.uint8) for part in versions(p).values()]
    found = [q.probabilities["PNEUMONIA"] for q in multimix.predict(model, parts, invert="never")]
    print(f"{p.name:24}  {found[0]:5.2f}  {found[1]:11.2f}  {found[2]:13.2f}  {found[3]:12.2f}")

# %%
p = multimix.predict(model, path)
figure, axes = plt.subplots(1, 4, figsize=(9, 2.6), layout="constrained")
for axis, (name, film_part) in zip(axes, versions(p).items()):
    axis.imshow(film_part, cmap="gray", vmin=0, vmax=255)
    axis.set(title=name, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# **What to see.** Without the lungs every film is NORMAL: what the network calls pneumonia on these lies in them. A single film can
# deceive, though, and a grey block is like no film that it has learnt from. On the 547 films of children that chose its settings the AUC
# is .998 for whole films, .957 for the lungs alone, .971 without the lungs, and still .906 without their hull: so
# much of the class can be read from outside the lungs ([model card](../weights/README.md)).

# %% [markdown]
# ## What the map does not show
#
# - **Not where the disease is.** It shows which pixels would *change* the score. A large opacity that is seen beyond
#   doubt can be dark in the map, as no small change would hide it.
# - **Not why.** Two networks with the same answers can have quite different maps.
# - **Not confidence.** A map can be crisp on a wrong answer.
# - **Not stable.** Mirror the film, or train with another seed, and details move.
#
# Next: `03_training` trains a network with and without the unlabelled films.
