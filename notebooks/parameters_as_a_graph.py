# ruff: noqa: E402, I001
# %% [markdown]
# # Parameters as a graph: which are shared, which are dead, and why
#
# Tied embeddings, auxiliary heads that run only in training, a branch whose result is thrown away: what a model *holds*
# and what takes part in its result are two things. `DistributedDataParallel` users meet the difference as "Expected to
# have finished reduction in the prior iteration". Here both are read off the graph of one symbolic run. Nothing is
# executed, and no weight is allocated.

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
import networkx as nx
import torch
import transformers
from torch import nn

import fxcount
from fxcount.report.views.graphs import flow
from fxcount.report.views.graphs.dot import style

plt.rcParams.update({"figure.dpi": 80, "font.size": 9})

# %% [markdown]
# ## A training step that DDP refuses
#
# Four mistakes in one small net: a layer left over from an earlier version, a `detach` too many, a decision by `argmax`,
# and a parameter of which only the shape is used.


# %%
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(16, 32)
        self.old_stem = nn.Linear(16, 32)
        self.gate = nn.Linear(32, 3)
        self.teacher = nn.Linear(32, 32)
        self.offset = nn.Parameter(torch.zeros(32))
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        choice = self.gate(x).argmax(-1)
        target = self.teacher(x).detach()
        x = x + torch.zeros_like(self.offset) + choice.unsqueeze(-1)
        return self.head(x), target


report = fxcount.analyze(Net(), "B,16")
print("find_unused_parameters:", ", ".join(fxcount.find_unused_parameters(Net(), "B,16")), "\n")
for row in report.params.rows("dead"):
    print(f"{row.name:16} {row.cause}")

# %% [markdown]
# autograd agrees: these are the parameters that a real backward leaves without a gradient.

# %%
torch.manual_seed(0)
net = Net()
sum(out.sum() for out in net(torch.randn(4, 16))).backward()
without = {name for name, parameter in net.named_parameters() if parameter.grad is None}
print(without == set(fxcount.find_unused_parameters(net, "B,16")))

# %% [markdown]
# ## The same answer, asked of the graph
#
# `report.to_networkx()` has a node for everything the model holds and does. *Flow* edges lead from where a tensor comes
# from to what takes it, and know whether a gradient comes back along them. A parameter takes part in the result if it
# reaches an output; it is trained if it reaches one along edges with a gradient.

# %%
graph = report.to_networkx()


def reaching(graph):
    outputs = [node for node, kind in graph.nodes(data="kind") if kind == "output"]
    return set().union(*(nx.ancestors(graph, output) for output in outputs))


data, trained = reaching(flow(graph)), reaching(flow(graph, gradient=True))
for node, kind in graph.nodes(data="kind"):
    if kind == "parameter" and node not in trained:
        print(f"{graph.nodes[node]['name']:16}", "reaches an output, no gradient comes back" if node in data else "has no path")

# %% [markdown]
# ## Drawing it
#
# Columns from left to right in the order of the calls, each node in the free place nearest to what it is connected with,
# a parameter before the first op that uses it. Colours are those of `report.to_dot()`: yellow is shared, red is dead.


# %%
def is_drawn(attributes):
    """Modules are drawn where they stand for what is in them, parameters and further names always."""
    if attributes["kind"] in ("module", "module_call"):
        return attributes.get("collapsed", False) and not attributes.get("calls")
    return attributes["kind"] not in ("buffer", "constant") or attributes["uses"] > 0


def layout(graph):
    """Column and row of each node."""
    moving = flow(graph).subgraph([node for node, attributes in graph.nodes(data=True) if is_drawn(attributes)])
    steps = [n for n in nx.topological_sort(moving) if graph.nodes[n]["kind"] in ("input", "op", "module_call", "output")]
    place = {}

    def put(node, column, row):
        """The free row nearest to the one that is wished for, upwards first."""
        taken = [y for x, y in place.values() if abs(x - column) <= 0.5]
        rows = sorted((row + k / 2 for k in range(-60, 61)), key=lambda r: (abs(r - row), -r))
        place[node] = (column, next(r for r in rows if all(abs(r - y) > 0.5 for y in taken)))

    for node in steps:
        before = [place[p] for p in moving.predecessors(node) if p in place]
        column = 1 + max((x for x, _ in before), default=-1)
        put(node, column, sum(y for _, y in before) / len(before) if before else 0)
    for node in moving:
        users = sorted(place[t] for t in moving.successors(node) if t in place)
        if node not in place and users:
            put(node, users[0][0] - 0.5, users[0][1] + (0.5 if users[0][1] >= 0 else -0.5))
    bottom = min(y for _, y in place.values()) - 1
    width = max(x for x, _ in place.values())
    unused = [n for n in moving if n not in place and graph.nodes[n]["kind"] != "alias"]
    for index, node in enumerate(unused):
        put(node, index * 1.5 % (width + 1), bottom)
    for alias, target, kind in graph.edges(data="kind"):
        if kind == "alias" and target in place:
            put(alias, place[target][0] - 1.5, place[target][1])
    return place


def draw(graph, title, size=(12, 4.5), rotation=0):
    place = layout(graph)
    shown = graph.subgraph(place)
    _, ax = plt.subplots(figsize=size)
    for source, target, edge in shown.edges(data=True):
        if edge["kind"] in ("contains", "call", "view"):
            continue
        stopped = edge.get("gradient") is False and shown.nodes[source]["kind"] in ("op", "module_call", "parameter")
        line = {"color": "#c0392b" if stopped else "#7f8fa0", "lw": 1}
        line |= {"linestyle": "--"} if edge["kind"] == "alias" else {}
        arrow = {"arrowstyle": "-" if edge["kind"] == "alias" else "->", "shrinkA": 10, "shrinkB": 12, **line}
        ax.annotate("", place[target], place[source], arrowprops=arrow)
    for node, attributes in shown.nodes(data=True):
        look = style(attributes)
        box = {
            "boxstyle": "round" if look["shape"] in ("ellipse", "note") else "square",
            "facecolor": look["fillcolor"], "edgecolor": look.get("color", "#667788"),
            "linestyle": "--" if "dashed" in look.get("style", "") else "-",
        }
        ax.text(
            *place[node], attributes["label"].replace(": ", "\n"), ha="center", va="center", bbox=box, fontsize=8,
            color=look.get("fontcolor", "black"), rotation=rotation,
        )
    xs, ys = zip(*place.values())
    ax.set(xlim=(min(xs) - 0.8, max(xs) + 0.8), ylim=(min(ys) - 0.6, max(ys) + 0.6), title=title)
    ax.axis("off")
    plt.show()


draw(graph, "A net with four mistakes: along red arrows no gradient comes back, red parameters get none", (14, 5))

# %% [markdown]
# ## Heads that run only in training: GoogLeNet
#
# In evaluation its auxiliary classifiers are never called, and 6.4 of 13.0 million parameters are dead weight. In training
# they are used, and everything is alive. `depth=1` draws each child of the model as one node.

# %%
with torch.device("meta"):
    googlenet = torchvision.models.googlenet(init_weights=False)
in_training = fxcount.analyze(googlenet.train(), "B,3,H,W")
in_evaluation = fxcount.analyze(googlenet.eval(), "B,3,H,W")
for name, found in (("training", in_training), ("evaluation", in_evaluation)):
    print(f"{name:11} {found.params.total:>12,} parameters, {found.params.dead:>10,} dead")
for reason in dict.fromkeys(row.reason for row in in_evaluation.params.rows("dead")):
    print("  ", reason)
draw(in_training.to_networkx(depth=1), "GoogLeNet in training", (14, 3.6), rotation=90)
draw(in_evaluation.to_networkx(depth=1), "GoogLeNet in evaluation", (14, 3.6), rotation=90)

# %% [markdown]
# ## Tied weights: T5
#
# One matrix is the embedding of the encoder and of the decoder and the output layer. torch.export drops all but one of its
# placeholders; here it is one node with four names, and each of its uses is an edge.

# %%
with torch.device("meta"):
    config = transformers.T5Config(num_layers=2, d_model=64, d_ff=128, d_kv=16, num_heads=4, vocab_size=512)
    t5 = transformers.T5ForConditionalGeneration(config).eval()
report = fxcount.analyze(t5, input_ids="i64[B,S]", decoder_input_ids="i64[B,T]")
for group in report.params.groups:
    print(f"{group.kind}: {', '.join(group.names)} ({group.bytes_saved:,} bytes saved)")
    for use in group.uses:
        print(f"    {use.op:10} in {use.module}")

# %%
full = report.to_networkx()
tied = [node for node, attributes in full.nodes(data=True) if attributes["kind"] == "parameter" and attributes["shared"]]
near = {n for node in tied for n in (node, *full.successors(node), *full.predecessors(node))}
drawn = full.subgraph([n for n in near if full.nodes[n]["kind"] in ("parameter", "alias", "op")]).copy()
for _, attributes in drawn.nodes(data=True):
    if attributes["kind"] == "op":
        attributes["label"] = f"{attributes['op']}: {attributes['path']}"
draw(drawn, "One matrix, four names, three uses", (9, 3))

# %% [markdown]
# ## Derived weights: weight norm
#
# `weight_norm` computes the weight of a layer from a direction and a length, each time anew. The parameters are the two
# originals; the weight itself is a result like any other.

# %%
normed = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(8, 8)), nn.ReLU())
report = fxcount.analyze(normed, "B,8")
for group in report.params.groups:
    print(f"{group.kind}: {group.derived} from {', '.join(group.names)}")
draw(report.to_networkx(), "weight_norm: where a weight comes from", (11, 4))

# %% [markdown]
# ## Take it elsewhere
#
# `fxcount graph MODEL -o model.dot` (or `.graphml`, `.gexf`, `.json`) writes the graph. The JSON file holds the whole report:
# what is read back has the same formulas, tables and assumptions as the original.

# %%
again = fxcount.load_report(in_evaluation.to_graph_json())
print("the same report:", again.to_dict() == in_evaluation.to_dict() and str(again) == str(in_evaluation))
print("at 224 pixels:", again.at(B=1, H=224, W=224).macs, "MACs")
