# ruff: noqa: E402, I001
# %% [markdown]
# # FLOPs against resolution
#
# How does the cost of a vision model grow with the size of its images? Measuring gives one number for each size. Here the
# answer is exact at every size from 32 to 1024 pixels, for three models that cost about the same at 224: ConvNeXt-T (a CNN),
# ViT-S/16 (global attention) and Swin-T (attention in windows). No image is read and no weight is allocated.

# %%
import sys
import warnings
from pathlib import Path

root = next(p for p in [Path.cwd(), *Path.cwd().parents] if (p / "benchmarks").is_dir())
sys.path.insert(0, str(root))
warnings.filterwarnings("ignore", message="IProgress not found")

# %%
from benchmarks.torchvision_ops import torchvision  # plain torchvision, also beside a torch of another build

# %%
import matplotlib.pyplot as plt
import numpy as np
import sympy
import timm
import torch
from IPython.display import Math, display

import fxcount

plt.rcParams.update({"figure.dpi": 80, "font.size": 11, "axes.grid": True, "grid.alpha": 0.3, "lines.linewidth": 2})

# %% [markdown]
# ## Three curves
#
# ConvNeXt and Swin take images of any size: each is analysed **once**, with height and width as symbols, and `report.curve`
# evaluates the formulas at every size. Where the model decides differently than it did at the size of the analysis (Swin
# turns off the shift of windows in stages that are one window wide) it is analysed again by itself. timm's ViT is built for
# one size, so `fxcount.curve` is given a function that builds it: for each multiple of its 16 pixels.

# %%
with torch.device("meta"):
    convnext = torchvision.models.convnext_tiny().eval()
    swin = torchvision.models.swin_t().eval()


def vit(H):
    return timm.create_model("vit_small_patch16_224", img_size=H).eval()


sizes, patches = range(32, 1025), range(32, 1025, 16)
reports = {"ConvNeXt-T": fxcount.analyze(convnext, "B,3,H,W"), "Swin-T": fxcount.analyze(swin, "B,3,H,W")}
curves = {name: report.curve(H=sizes, W="H", B=1) for name, report in reports.items()}
curves["ViT-S/16"] = fxcount.curve(vit, "1,3,{H},{H}", H=patches)
for name, curve in curves.items():
    print(f"{name}: {len(curve)} sizes from {len(curve.pieces)} analyses")

# %%
def macs(name, sides=patches):
    """Exact multiply-accumulates of one image, at these sides."""
    known = dict(zip(curves[name].sizes["H"], curves[name].columns["macs"]))
    return [known[side] for side in sides]


def crossings(one, other):
    """Sides between which the cheaper of two models becomes the dearer, and the cost there."""
    a, b = macs(one), macs(other)
    changed = [i for i in range(len(a) - 1) if (a[i] < b[i]) != (a[i + 1] < b[i + 1])]
    return [(patches[i], patches[i + 1], (a[i] + b[i + 1]) / 2) for i in changed]


pairs = [("ViT-S/16", "ConvNeXt-T"), ("ViT-S/16", "Swin-T"), ("Swin-T", "ConvNeXt-T")]
crossovers = {pair: crossings(*pair) for pair in pairs}
for (one, other), found in crossovers.items():
    print(f"{one} and {other} cross", ", ".join(f"between {a} and {b}" for a, b, _ in found) or "nowhere")

# %%
colours = dict(zip(("ConvNeXt-T", "Swin-T", "ViT-S/16"), ("tab:blue", "tab:green", "tab:red")))
fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4.8))
for name, curve in curves.items():
    sides = np.array(curve.sizes["H"])
    cost = np.array(curve.columns["macs"], dtype=float)
    marks = {"marker": ".", "markersize": 5} if len(sides) < 100 else {}
    left.loglog(sides, cost / 1e9, label=name, color=colours[name], **marks)
    right.plot(sides, cost / sides**2 / 1e3, label=name, color=colours[name], **marks)
for found in crossovers.values():
    for a, b, cost in found:
        side = (a * b) ** 0.5
        for ax, height in ((left, cost / 1e9), (right, cost / side**2 / 1e3)):
            ax.plot(side, height, "o", markersize=10, markerfacecolor="none", color="black")
left.set(xlabel="image side (pixels)", ylabel="GMACs for one image", title="Cost of an image", xlim=(30, 1100))
left.set_xticks([32, 64, 128, 256, 512, 1024], [32, 64, 128, 256, 512, 1024])
right.set(xlabel="image side (pixels)", ylabel="kMACs per pixel", title="Cost of a pixel; rings: crossovers", ylim=(60, 200))
left.legend()
fig.tight_layout()
plt.show()

# %% [markdown]
# A pixel costs ConvNeXt-T the same in a small and in a large image, but for rounding. So it does Swin-T, whose windows are
# padded: the saw teeth are a stage that needs one more row of windows. In ViT a pixel gets dearer, as each patch attends to
# all others: as ConvNeXt rounds, the two change places several times below 176 pixels; then ViT is the dearer one, and beyond
# the last ring the dearest of the three.
#
# ## The formulas and where they hold
#
# `report.pieces` finds every formula of a range, with the line of the model that decides between two of them.

# %%
pieces = reports["Swin-T"].pieces(H=(32, 1024), W="H", B=1)
for row in pieces:
    print(row.domain, "|", "; ".join(f"{a}: {a.line}" for a in row.assumptions))
display(Math(r"\text{Swin-T, }228 \leq H \leq 1024:\quad \mathrm{MACs} = " + sympy.latex(pieces.rows[-1].macs)))

# %% [markdown]
# The cost is a staircase. With free sizes the formula of a CNN keeps its roundings: that of ResNet-50 has one `ceil` (rounding
# up, `ceiling` in sympy) for each halving. Its largest steps come every 32 pixels: 225 pixels cost more than
# 224, by exactly this much.

# %%
with torch.device("meta"):
    resnet = torchvision.models.resnet50().eval()
free = fxcount.analyze(resnet, "B,3,H,W")
display(Math(r"\text{ResNet-50:}\quad \mathrm{MACs} = " + sympy.latex(free.macs)))
sides = range(192, 292)
steps = free.curve(H=sides, W="H", B=1).columns["macs"]
small, large = steps[sides.index(224)], steps[sides.index(225)]
print(f"224: {small} MACs, 225: {large} MACs, {100 * (large / small - 1):.1f} % more")

fig, ax = plt.subplots(figsize=(7, 3.6))
ax.step(sides, [m / 1e9 for m in steps], where="post", label="ResNet-50")
ax.plot(sides, [small * (s / 224) ** 2 / 1e9 for s in sides], "--", label="in proportion to the pixels")
ax.set(xlabel="image side (pixels)", ylabel="GMACs for one image", title="Rounding, exactly")
ax.set_xticks(range(192, 292, 32))
ax.legend()
plt.show()

# %% [markdown]
# ## Where attention overtakes
#
# timm's ViT also takes any size if told to (`dynamic_img_size`); its formula in sides of $16n$ pixels is a polynomial. The
# linear layers grow with the number of tokens, $n^2 + 1$, attention (scores, and their product with the values) with its
# square. sympy solves the equation of the two formulas exactly.

# %%
with torch.device("meta"):
    dynamic = timm.create_model("vit_small_patch16_224", dynamic_img_size=True).eval()
report = fxcount.analyze(dynamic, "B,3,16*n,16*n").at(B=1)
n = report.symbol("n")
kinds = {row.op: sympy.sympify(row.macs) for row in report.by_op()}
attention, linear = kinds["scaled_dot_product_attention"], kinds["linear"]
display(Math(r"\text{attention} = " + sympy.latex(sympy.factor(attention))))
display(Math(r"\text{linear} = " + sympy.latex(sympy.expand(linear))))

number = sympy.Symbol("p", positive=True)  # of patches: p = n**2
roots = sympy.solve(sympy.expand(attention - linear).subs(n**4, number**2).subs(n**2, number), number)
display(Math(r"n^2 = " + sympy.latex(roots[0]) + rf"\approx {sympy.N(roots[0], 8)}"))
print(f"attention overtakes the linear layers at a side of {float(16 * sympy.sqrt(roots[0])):.1f} pixels")

# %% [markdown]
# The number has a simple reason. A block of width $d$ has $12d^2$ MACs of linear layers for each of its $s$ tokens, and
# $2ds$ of attention: they are equal at $s = 6d = 2304$ tokens. (The root is off that by a hair because the classifier's
# head is a linear layer, too.)
#
# ## Memory: the peak moves
#
# The largest number of bytes alive at one moment of inference is a maximum over moments, and another one wins at other sizes.
# `memory.regions` says which moment is the peak where.

# %%
for name, report in reports.items():
    print(name)
    for region in report.memory.regions(H=(32, 1024), W="H", B=1):
        print("  ", region.domain, "|", region.place, "|", region.nbytes)
with torch.device("meta"):
    for block in dynamic.blocks:
        block.attn.fused_attn = False  # scores are held
plain = fxcount.analyze(dynamic, "B,3,16*n,16*n")
print("ViT-S/16 without fused attention")
for region in plain.memory.regions(n=(2, 64), B=1):
    print("  ", region.domain, "|", region.place, "|", region.nbytes)

# %%
fig, ax = plt.subplots(figsize=(7, 4))
for name, curve in curves.items():
    ax.loglog(curve.sizes["H"], np.array(curve.columns["peak_bytes"]) / 2**20, label=name, color=colours[name])
held = plain.curve(n=range(2, 65), B=1)
ax.loglog([16 * k for k in held.sizes["n"]], np.array(held.columns["peak_bytes"]) / 2**20, "--", color=colours["ViT-S/16"],
          label="ViT-S/16, attention not fused")
ax.set(xlabel="image side (pixels)", ylabel="MiB for one image, weights not included", title="Peak of activations")
ax.set_xticks([32, 64, 128, 256, 512, 1024], [32, 64, 128, 256, 512, 1024])
ax.legend()
plt.show()

# %% [markdown]
# The same question can be asked of any model and any symbol: batch, sequence length, resolution. `report.at(...)` gives
# numbers, `report.curve(...)` whole ranges of them, `report.macs` and `report.memory.peak` are sympy expressions to calculate
# with.
