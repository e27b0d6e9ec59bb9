"""A colour for each class, the same in every picture."""

import numpy as np

# Tableau's twenty (matplotlib's tab20), the ten strong ones first: few classes differ most.
_TABLEAU = bytes.fromhex(
    "1f77b4 ff7f0e 2ca02c d62728 9467bd 8c564b e377c2 7f7f7f bcbd22 17becf "
    "aec7e8 ffbb78 98df8a ff9896 c5b0d5 c49c94 f7b6d2 c7c7c7 dbdb8d 9edae5"
)


def class_colours(num_classes: int) -> np.ndarray:
    """Uint8 RGB `(num_classes, 3)`; a class's colour does not depend on how many there are.

    Twenty of Tableau, then as the VOC development kit numbers them: the bits of the id dealt to
    the channels, the highest first. All 255 that a mask can have are different.
    """
    first = np.frombuffer(_TABLEAU, np.uint8).reshape(-1, 3)
    more = [_voc(id) for id in range(len(first), num_classes)]
    return np.concatenate([first, np.array(more, np.uint8).reshape(-1, 3)])[:num_classes]


def _voc(id: int) -> tuple[int, ...]:
    return tuple(
        sum((id >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(8))
        for channel in range(3)
    )
