"""The closed forms against every row of formulas.csv: its worked inputs and expected values."""

import csv
import math
import re
from importlib.resources import files

import pytest

from cnnlab.complexity.formulas import costs, losses, operators, scaling, sizes

with files("cnnlab.reference").joinpath("formulas.csv").open() as file:
    ROWS = {row["id"]: row for row in csv.DictReader(file)}
CHECKS = {}
NUMBER = r"(?<![\w.])-?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"


def check(name):
    """The function computes, from the row's worked inputs, the numbers its `expected` prints."""

    def register(function):
        assert name not in CHECKS
        CHECKS[name] = function
        return function

    return register


def numbers(text):
    return [float(token) if re.search(r"[.e]", token) else int(token) for token in tokens(text)]


def tokens(text):
    return re.findall(NUMBER, text)


def keys(text):
    """`K=96 H=W=56` -> a dictionary."""
    return {
        key: float(value) if "." in value else int(value)
        for names, value in re.findall(r"((?:\w+=)+)(-?[\d.]*\d)", text)
        for key in names.split("=")[:-1]
    }


def groups(text):
    """`(7,3,S2);(8,2)` -> lists of numbers."""
    return [[int(n) for n in re.findall(r"\d+", part)] for part in text.split(";")]


def flat(values):
    return [v for value in values for v in (flat(value) if isinstance(value, list) else [value])]


def test_every_row_is_checked():
    assert set(CHECKS) == set(ROWS)
    assert len(ROWS) >= 52


@pytest.mark.parametrize("name", ROWS)
def test_row(name):
    values, printed = CHECKS[name](ROWS[name]["worked_inputs"]), ROWS[name]["expected"]
    if name in THOUSANDS:
        printed = re.sub(r"(?<=\d),(?=\d{3})", "", printed)
    printed = tokens(re.sub(r"y\[\d,\d\]", "", printed))
    assert len(values) == len(printed)
    for value, token in zip(values, printed, strict=True):
        mantissa, _, exponent = token.partition("e")
        digits = len(mantissa.partition(".")[2]) - int(exponent or 0)
        exact = not digits and not exponent
        # The tables round the last digit; some of them do it half up, some half to even.
        tolerance = 0 if exact else 0.500001 * 10.0**-digits
        assert abs(value - float(token)) <= tolerance, (value, token)


THOUSANDS = {"F33", "F39", "F40", "F41", "F50"}
DECK = {"F40": 650, "F41": (24, 96), "F42": 418, "F43": 7485}  # the deck's own, also in the cells
F04 = {"c_in": 64, "c_out": 128, "kernel": 3, "height": 56, "width": 56}


@check("F01")
def _(text):
    return [sizes.conv_output(w, f, s, p) for w, f, s, p in groups(text)]


@check("F02")
def _(text):
    assert text.endswith("ceil_mode)")
    (first, second) = groups(text)
    return [sizes.pool_output(*first), sizes.pool_output(*second, ceil_mode=True)]


@check("F03")
def _(text):
    k = keys(text)
    return [costs.conv_params(k["C"], k["K"], k["L"])]


@check("F04")
def _(text):
    assert keys(text) == {"Cout": 128, "Cin": 64, "K": 3, "H": 56, "W": 56}
    return [costs.conv_macs(**F04)]


@check("F05")
def _(text):
    return [costs.conv_macs(**F04, batch=keys(text)["B"])]


@check("F06")
def _(text):
    k = keys(text)
    bits = costs.conv_storage_bits(k["C"], k["M"], k["K"], k["E"], k["F"])
    return [bits, bits / 8e6]


@check("F07")
def _(text):
    return [costs.conv_storage_bits(**F04, batch=keys(text)["B"])]


@check("F08")
def _(text):
    return [costs.conv_macs(**F04, groups=int(g)) for g in re.findall(r"G=(\d+)", text)]


@check("F09")
def _(text):
    k = keys(text)
    return [costs.separable_macs(k["C"], k["M"], k["K"], k["E"], k["F"])]


@check("F10")
def _(text):
    k = keys(text)
    ratio = costs.separable_ratio(k["N"], k["k"])
    assert costs.separable_ratio(10**9, k["k"]) == pytest.approx(1 / 9)
    return [ratio, 1 / ratio, 1, 9]


@check("F11")
def _(text):
    bits = costs.separable_storage_bits(**F04)
    return [bits, 100 * (bits / costs.conv_storage_bits(**F04) - 1)]


@check("F12")
def _(text):
    batch = keys(text)["B"]
    macs = costs.separable_macs(**F04, batch=batch)
    return [macs, costs.separable_storage_bits(**F04, batch=batch)]


@check("F13")
def _(text):
    return [sizes.receptive_field([(3, 1)] * n) for n in range(1, 6)]


VGG16 = [*[(3, 1), (3, 1), (2, 2)] * 2, *[(3, 1), (3, 1), (3, 1), (2, 2)] * 3]


@check("F14")
def _(text):
    return [sizes.receptive_field([*VGG16, (7, 1)])]


@check("F15")
def _(text):
    values = []
    for g in (1, 2, 4, 8, 16, 32, 64):
        width = scaling.resnext_width(keys(text)["C"], g)
        assert scaling.resnext_macs_per_pixel(64, g, width) == pytest.approx(17 * 64**2)
        # The table gives no whole width where the paper has none.
        values += [g, width] if g in (1, 16, 64) else [g, width, round(width)]
    noted = re.search("width: (.*?)\\(", ROWS["F15"]["note"]).group(1)
    widths = {1: 64, 2: 40, 4: 24, 8: 14, 32: 4}
    assert numbers(noted)[:6] == [scaling.resnext_macs_per_pixel(64, *w) for w in widths.items()]
    return values


@check("F16")
def _(text):
    pairs = re.findall(r"\((\d+),(\d+)\)", text)
    return [scaling.resnext_channels(keys(text)["planes"], int(w), int(g)) for g, w in pairs]


@check("F17")
def _(text):
    k = keys(text)
    factors = k["alpha"], k["beta"], k["gamma"]
    cost = scaling.scaled_cost(*scaling.compound_scaling(k["phi"], *factors))
    return [cost, 2, *scaling.compound_scaling(2, *factors)]


@check("F18")
def _(text):
    x = numbers(text)[:2]
    mean = sum(x) / 2
    return [mean, x[1] - mean, *operators.batch_norm(x)]


@check("F19")
def _(text):
    values = dict(re.findall(r"(\w+|\w+\^2)=(\.?\d[\d.]*)", text))
    w, b, mu, variance, alpha, beta = map(float, values.values())
    p, q = operators.fold_batch_norm(1, 0, mu, variance, alpha, beta)
    return [p, q, *operators.fold_batch_norm(w, b, mu, variance, alpha, beta)]


@check("F20")
def _(text):
    x = numbers(text)
    return [f(value) for f in (operators.gelu, operators.gelu_tanh) for value in x]


@check("F21")
def _(text):
    return [operators.silu(value) for value in numbers(text)]


@check("F22")
def _(text):
    cases = [(0.9, 1), (0.5, 1), (0.1, 1), (0.1, 0), (0.9, 0)]
    assert numbers(text.partition("(")[2]) == pytest.approx(flat([list(c) for c in cases]))
    values = [losses.focal_loss(*case, alpha=0.25, gamma=2) for case in cases]
    return [*values, sum(values) / 5]


@check("F23")
def _(text):
    values = numbers(text)
    return [losses.dice_loss(values[:4], values[4:])]


@check("F24")
def _(text):
    return [sizes.transposed_output(w, f, s, p) for w, f, s, p in groups(text)]


@check("F25")
def _(text):
    image = [[4 * y + x for x in range(4)] for y in range(4)]
    offset = re.search(r"dy=([\d.]+),dx=([\d.]+)", text)
    taps = [(float(offset.group(1)), float(offset.group(2)))] * 9
    y = operators.deformable(image, [[0, 0, 0], [0, 1, 0], [0, 0, 0]], [[taps] * 4] * 4, padding=1)
    return [y[0][0], y[0][1], y[1][0]]


@check("F26")
def _(text):
    values = []
    for groups_ in (1, 4):
        values.append(costs.offset_params(keys(text)["Cin"], offset_groups=groups_))
        values.append(costs.offset_macs(512, 14, 14, offset_groups=groups_))
    return values


@check("F27")
def _(text):
    return [
        c
        for last, g in re.findall(r"\.\.(\d+)\] g=(\d)", text)
        for c in operators.channel_shuffle(range(int(last) + 1), int(g))
    ]


@check("F28")
def _(text):
    w, x = numbers(text)
    return [operators.residual_gradient(w, 1 - math.tanh(w * x) ** 2)]


@check("F29")
def _(text):
    assert scaling.preact_variance(3) == 8
    return flat(scaling.nf_betas((1, 2, 6, 3), numbers(text)[0]))


@check("F30")
def _(text):
    return [scaling.relu_gain()]


@check("F31")
def _(text):
    k = keys(text)
    per_block = scaling.regnet_block_widths(k["d"], k["w0"], k["wa"], k["wm"])
    widths, depths = scaling.regnet_stages(k["d"], k["w0"], k["wa"], k["wm"], k["g"])
    runs = [[w, per_block.count(w)] for w in sorted(set(per_block))]
    # 56,128x3,288x7,664x5: the regular expression skips what follows an x.
    assert [n for _, n in runs] == [1, 3, 7, 5]
    return [*(w for w, _ in runs), *widths, *depths]


@check("F32")
def _(text):
    layers = [int(n) for n in re.findall(r"L=(\d+)", text)]
    assert [(3 * n - 1) / 4 for n in layers] == [
        pytest.approx(scaling.expected_blocks(n, 0.5)) for n in layers
    ]
    return [scaling.expected_blocks(n, 0.5) for n in layers]


@check("F33")
def _(text):
    k = keys(text)
    blocks = {256: 3, 512: 4, 1024: 6, 2048: 3}
    weights, biased = (
        sum(n * costs.se_params(c, k["r"], bias) for c, n in blocks.items())
        for bias in (False, True)
    )
    one = costs.se_params(k["C"], k["r"])
    return [one, weights, biased, 25_557_032, biased, 25_557_032 + biased]


@check("F34")
def _(text):
    *stages, last = scaling.densenet_channels(64, keys(text)["k"], (6, 12, 24, 16))
    assert last[0] == last[1]
    return [*(c for stage in stages for c in stage), last[0]]


@check("F35")
def _(text):
    return [scaling.wrn_blocks(int(d)) for d in re.findall(r"\d+", text)]


@check("F36")
def _(text):
    basic, bottleneck = groups(text)
    return [
        *map(scaling.cifar_resnet_blocks, basic),
        *(scaling.cifar_resnet_blocks(d, bottleneck=True) for d in bottleneck),
    ]


@check("F37")
def _(text):
    return [scaling.nasnet_cells(keys(text)["B"])]


@check("F38")
def _(text):
    return scaling.controller_gradient([0, 0], action=0, advantage=1)


@check("F39")
def _(text):
    pixels = 1920 * 1080 * 3
    params = costs.linear_params(pixels, pixels)
    run = params * 10 * 1e6 * 100
    size = costs.model_bytes(params) / 1e12
    return [params, size, 2 * params, run * 2, 2 * run * 2, 67e12, costs.years(1.5e23, 67e12)]


ALEXNET = [(96, 55, 55), (256, 27, 27), (384, 13, 13), (384, 13, 13), (256, 13, 13)]


@check("F40")
def _(text):
    return [costs.values([*ALEXNET, (4096,), (4096,), (1000,)]), DECK["F40"]]


def vgg16_shapes():
    shapes, side = [(3, 224, 224)], 224
    for channels, convs in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        shapes += [(channels, side, side)] * convs
        side = sizes.pool_output(side, 2, 2)
        shapes.append((channels, side, side))
    return [*shapes, (4096,), (4096,), (1000,)]


@check("F41")
def _(text):
    elements = costs.values(vgg16_shapes())
    return [elements, costs.model_bytes(elements) / 1e6, *DECK["F41"]]


@check("F42")
def _(text):
    convs = costs.chain_macs(3, [(64, 7, 112), (64, 1, 56), (192, 3, 56)])
    pools = costs.pool_operations(64, 3, 56, 56) + costs.pool_operations(192, 3, 28, 28)
    return [convs / 1e6, (convs + pools) / 1e6, DECK["F42"]]


VGG_TO_28 = [(64, 3, 224), (64, 3, 224), (128, 3, 112), (128, 3, 112), *[(256, 3, 56)] * 3]


@check("F43")
def _(text):
    return [
        costs.chain_macs(3, VGG_TO_28[:-1]) / 1e6, costs.chain_macs(3, VGG_TO_28) / 1e6, 7485
    ]  # fmt: skip


@check("F44")
def _(text):
    values = numbers(text)
    return flat(operators.max_pool([values[i : i + 4] for i in range(0, 16, 4)], 2, 2))


@check("F45")
def _(text):
    x = numbers(text)
    return flat(operators.cross_correlate([x[0:3], x[3:6], x[6:9]], [x[9:11], x[11:13]]))


IMAGE = [[1, 0, 5], [3, -1, -2], [4, 0, -3]]  # of F45


@check("F46")
def _(text):
    k = numbers(text)
    return flat(operators.cross_correlate(IMAGE, [k[0:3], k[3:6], k[6:9]], padding=1))


# Deck 3, L354-369.
SHARPENED = [
    [60, 113, 56, 139, 85], [73, 121, 54, 84, 128], [131, 99, 70, 129, 127],
    [80, 57, 115, 69, 134], [104, 126, 123, 95, 130],
]  # fmt: skip


@check("F47")
def _(text):
    k = numbers(text.partition("with")[2])
    row = operators.cross_correlate(SHARPENED, [k[0:3], k[3:6], k[6:9]], padding=1)[0]
    return [row[0], *row]


@check("F48")
def _(text):
    k = [[0, 0, 0], [1, 0, 0], [0, 0, 0]]
    image = numbers(text)
    return flat(operators.cross_correlate([image[0:3], image[3:6], image[6:9]], k, padding=1))


@check("F49")
def _(text):
    return [operators.local_response_norm([1.0] * 5, 2)]


@check("F50")
def _(text):
    squeezenet = numbers(text.replace(",", "", 2).partition(";")[0])[0]
    nets = squeezenet, 25_557_032, 86_567_656
    first, *rest = (costs.model_bytes(params) for params in nets)
    return [first / 1e6, first / 2**20, *(size / 1e6 for size in rest)]


@check("F51")
def _(text):
    pairs = [part.split("/") for part in text.split(",")]
    return [costs.compression_ratio(float(a), float(b)) for a, b in pairs]


@check("F52")
def _(text):
    return [costs.stacked_stem_params(frames, 64, 7) for frames in (1, 4)]
