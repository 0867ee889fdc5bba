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
# the lungs. Here you make that map by hand, weigh what crosses the bridge, cut it, turn it up, put the map to the test, and
# see what it does not show. All of it takes about half a minute of one processor core (23 and 27 seconds were measured on a server).

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

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib_inline.backend_inline import set_matplotlib_formats

import multimix
from multimix.evaluation.figures import show
from multimix.images.reading import network_input, picture_for_network
from multimix.model import bridge_maps

set_matplotlib_formats("jpeg", pil_kwargs={"quality": 65})  # keeps the notebook small
model = multimix.load_model(device="cpu")

# %%
FILM = "sample_data/phantom_pneumonia_2.png"  #@param {type:"string"}

p = multimix.predict(model, FILM)
p.plot()
show("The film three times: as it is, with both lungs in blue, and with the heat of what moved the class")

# %% [markdown]
# **What to see.** There are white patches in the lower halves of both lungs. The heat gathers where a change of grey would move
# the score most: at the patches, and at other places besides.
#
# ## One gradient makes the map
#
# The network's class score is a function of 50,176 pixels. Its gradient says, for each of them, how much the score would
# change if the pixel changed a little. The map is the size of that gradient, for the class that won:

# %%
print(inspect.getsource(multimix.MultiMix._encode_with_saliency))

# %% [markdown]
# By hand it takes four lines. `picture_for_network` reduces the film to the network's 224 x 224, `network_input` scales it to [-1, 1].

# %% tags=["nbval-check-output"]
x = network_input(torch.from_numpy(picture_for_network(FILM, model.side).copy())[None, None])
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

# %% [markdown]
# The decoder's first layer is a convolution: it adds up what its inputs bring, the encoder's deepest features, those one level up (the
# skip connection), and the bridge. So the parts can be computed one by one, and their spread over this film compared.

# %%
with torch.no_grad():
    _, maps = model.encoder(x)
    bridge = bridge_maps(x, out.saliency)
    above = F.interpolate(maps[4], scale_factor=2, mode="bilinear", align_corners=True)
    inputs = {"deepest features": above, "skip features": maps[3], "film": bridge[:, :1], "saliency": bridge[:, 1:]}
    weights = model.decoder.dconv_up4[0].weight.split([part.shape[1] for part in inputs.values()], dim=1)
    brought = [F.conv2d(part, weight, padding=1).std().item() for part, weight in zip(inputs.values(), weights)]

figure, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
for axis, name, colours in zip(axes, ("film", "saliency"), ("gray", "magma")):
    figure.colorbar(axis.imshow(inputs[name][0, 0], cmap=colours), ax=axis, shrink=0.8)
    axis.set(title=f"{name}, as it crosses the bridge", xticks=[], yticks=[])
axes[2].bar_label(axes[2].barh(list(inputs), brought, log=True), fmt="%.2g", padding=3)
axes[2].set(title="what the decoder's first layer gets of it", xlim=(1e-3, 100))
show("The two pictures that cross the bridge, and bars: " + ", ".join(f"{n} {b:.2g}" for n, b in zip(inputs, brought)))

# %% [markdown]
# **What to see.** Two coarse pictures of 28 x 28 cross the bridge, and the decoder's first layer gets little of them (mind the
# logarithmic axis): the encoder's features bring a spread of 12 and 7.6, the film 0.27, the saliency 0.006, some two thousand
# times less than the deepest features. The saliency's values are hundredths at most, and nothing scales them.
#
# ## Cut the bridge, and turn it up
#
# The decoder can be run on the same features with something else on the bridge: no saliency (times 0), more of it, another
# film's, or nothing at all.

# %%
other = network_input(torch.from_numpy(picture_for_network("sample_data/phantom_normal_2.png", model.side).copy())[None, None])
crossing = {f"saliency x {factor}": bridge * torch.tensor([1, factor]).view(1, 2, 1, 1) for factor in (1, 0, 10, 100, 1000, 10000)}
crossing |= {"another film's": bridge_maps(x, model.saliency(other)), "nothing": torch.zeros_like(bridge)}
with torch.no_grad():
    masks = {name: torch.sigmoid(model.decoder(maps, maps_across))[0, 0] > 0.5 for name, maps_across in crossing.items()}
usual = masks["saliency x 1"]
for name, mask in masks.items():
    print(f"{name:17} {(mask != usual).sum():5} pixels change sides")

# %%
louder = (10, 100, 1000, 10000)
figure, axes = plt.subplots(1, 3, figsize=(11, 3.7), layout="constrained")
axes[0].loglog(louder, [(masks[f"saliency x {factor}"] != usual).sum() for factor in louder], "o-")
axes[0].set(title="pixels that change sides", xlabel="the saliency, multiplied by")
for axis, factor in zip(axes[1:], louder[2:]):
    mask = masks[f"saliency x {factor}"]
    axis.imshow(x[0, 0].detach(), cmap="gray")
    axis.contour(usual, levels=[0.5], colors=["#56B4E9"], linewidths=1)
    for changed, colour in ((mask & ~usual, (0, 0.45, 0.7)), (usual & ~mask, (0.84, 0.37, 0))):
        axis.imshow(np.dstack([np.broadcast_to(colour, (*changed.shape, 3)), changed.numpy()]))
    axis.set(title=f"saliency x {factor}", xticks=[], yticks=[])
show("A rising line: the louder the saliency, the more pixels change sides. Two films: at x 1000 a few pixels of the border "
     "change, at x 10000 large parts of both lungs are lost, in orange, and two spots beside them gained, in blue")

# %% [markdown]
# **What to see.** Cut off, or another film's: not one pixel changes sides. A thousand times as loud, the saliency moves 117 of
# 50,176 pixels, all near the border; ten thousand times as loud, it tears holes. The bundled network, which learnt from all
# masks, draws the lungs from the encoder's features.
#
# Would a network that has little else use it? Two small ones were trained for this text (`umtl_s`, 300 steps at 64 px, ten
# masks, synthetic films), and their bridges cut on 40 unseen films of 4,096 pixels. With `widths=(8, 16, 32, 64, 64)`,
# cutting the saliency moves no pixel at all, and cutting the bridge's film 2 in each picture. With `widths=(8, 8, 8, 2, 2)`, two channels for
# each of the deepest features, 0.1 and 17. So **what counts on this bridge is the film**. (The first called 80 % of these films rightly; the second
# did not learn the class, so its map could tell little.) What a bridge brings has to be measured for each network, as here.
#
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
    fall = F.interpolate(occlusion(film), film.shape[-1], mode="bilinear", align_corners=False)
    attributions = {"gradient": out.saliency[0, 0], "SmoothGrad": smooth_gradient(film), "occlusion": fall[0, 0]}

figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
for axis, (name, heat) in zip(axes, attributions.items()):
    axis.imshow(film[0, 0], cmap="gray")
    shown = axis.imshow(heat, cmap="magma", alpha=0.6, vmin=0, vmax=max(heat.flatten().quantile(0.995).item(), 1e-9))
    axis.set(title=name, xticks=[], yticks=[])
    figure.colorbar(shown, ax=axis, shrink=0.8)
show("The film with three heat maps: the gradient's is speckled, SmoothGrad's less so, occlusion's marks patches in both lungs")

# %% [markdown]
# **What to see.** Occlusion finds the patches of both lungs, and nothing else. The two gradients also light up the middle of a
# lung and the belly, where nothing is wrong: covering these hardly changes the answer. One map alone would have misled.
#
# ## Which map names the pixels that count?
#
# **Deletion** covers the film with grey, the most salient patches of 8 x 8 pixels first: with a good map the probability falls
# early, and the area under its curve is small. **Insertion** begins with grey and restores them in the same order: the larger
# the area, the better (RISE, Petsiuk and others 2018). A random order is what any map has to beat.

# %%
PATCH, shares = 8, torch.linspace(0, 1, 11)
attributions["random order"] = torch.rand(film.shape[2:], generator=torch.Generator().manual_seed(0))
figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained", sharey=True)
for name, heat in attributions.items():
    rank = F.avg_pool2d(heat[None, None], PATCH).flatten().argsort(descending=True).argsort()
    first = torch.stack([rank < share * len(rank) for share in shares]).float().view(11, 1, *[film.shape[2] // PATCH] * 2)
    first = F.interpolate(first, scale_factor=PATCH)  # 1 on the patches that come first
    for axis, kept in zip(axes, (1 - first, first)):
        with torch.no_grad():
            probability = model.classify(film * kept).softmax(1)[:, out.class_logits.argmax()]
        axis.plot(shares, probability, label=f"{name}: area {torch.trapezoid(probability, shares):.2f}")
for axis, title in zip(axes, ("deletion: share that is greyed", "insertion: share that is restored")):
    axis.set(title=title, ylabel=f"probability of {multimix.model.CLASSES[out.class_logits.argmax()]}")
    axis.legend(fontsize=8)
show("Deletion and insertion curves: occlusion's are by far the best, the gradient's and SmoothGrad's near a random order's")

# %% [markdown]
# **What to see.** Grey the first tenth in occlusion's order and the probability falls from .71 (at one size, not calibrated; `predict` says .58) to .26; in the gradient's order it
# does not fall at all, and the area (.83) is that of a random order (.84). Occlusion leads in insertion, too, where both
# gradients are behind random. Two things to mind: occlusion is made by greying, so this test suits it, and a film that is grey
# all over is PNEUMONIA with .82, so grey is not *nothing* to this network. And it is one film.
#
# ## A sanity check
#
# A map that shows what was *learnt* must change when the learning is undone. The same film goes through a network with
# fresh random weights; the rank correlation tells how alike the two maps are, 1 for the same order of pixels.

# %%
from scipy.stats import spearmanr

torch.manual_seed(0)
untrained = multimix.MultiMix().eval()
learnt, random = (F.avg_pool2d(m.saliency(film), 8).flatten() for m in (model, untrained))
print(f"rank correlation with an untrained network's map: {spearmanr(learnt, random).statistic:.2f}")

# %% [markdown]
# The two maps agree in part, since both follow the edges of the film: that part of a map tells nothing of what was
# learnt.
#
# ## Is it looking at the lungs?
#
# A class can be read from what is not the lungs: the size of the child, a hospital's letters, the framing. So take parts of a film
# away, with its mean grey in their place, and ask again. `FILMS` may be a folder of your own.

# %%
from skimage.morphology import convex_hull_image

FILMS = "sample_data"  #@param {type:"string"}

def versions(p):
    hull, grey = convex_hull_image(p.mask), int(p.film.mean())
    return {"whole": p.film, "lungs alone": np.where(p.mask, p.film, grey), "lungs removed": np.where(p.mask, grey, p.film),
            "hull removed": np.where(hull, grey, p.film)}

print("probability of PNEUMONIA  whole  lungs alone  lungs removed  hull removed")
for p in multimix.predict_iter(model, FILMS):
    parts = [part.astype(np.uint8) for part in versions(p).values()]
    found = [q.probabilities["PNEUMONIA"] for q in multimix.predict(model, parts, invert="never")]
    print(f"{p.name:24}  {found[0]:5.2f}  {found[1]:11.2f}  {found[2]:13.2f}  {found[3]:12.2f}")

# %%
p = multimix.predict(model, FILM)
figure, axes = plt.subplots(1, 4, figsize=(9, 2.6), layout="constrained")
for axis, (name, film_part) in zip(axes, versions(p).items()):
    axis.imshow(film_part, cmap="gray", vmin=0, vmax=255)
    axis.set(title=name, xticks=[], yticks=[])
show("One film in four versions: whole, the lungs alone, without the lungs, and without their hull")

# %% [markdown]
# **What to see.** Without the lungs every film is NORMAL, but without their hull four of the five are PNEUMONIA, a healthy one
# among them: a grey block is like no film that the network has learnt from, and grey itself leans to PNEUMONIA (above). So
# single films deceive. On the 547 films of children that chose its settings the AUC
# (the chance that a film with pneumonia gets the higher probability) is .998 for whole films, .957 for the lungs alone, .971 without the lungs, and still .906 without their hull: so
# much of the class can be read from outside the lungs ([model card](../weights/README.md)).
#
# ## What the map does not show
#
# - **Not where the disease is.** It shows which pixels would *change* the score. A large opacity that is seen beyond
#   doubt can be dark in the map, as no small change would hide it.
# - **Not why.** Two networks with the same answers can have quite different maps.
# - **Not confidence.** A map can be crisp on a wrong answer.
# - **Not stable.** Mirror the film, or train with another seed, and details move.
#
# Next: `03_training` trains a network with and without the unlabelled films.
