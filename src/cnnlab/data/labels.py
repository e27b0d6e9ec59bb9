"""ImageNet's 1000 classes (ILSVRC 2012) and their order, from timm's lists."""

from functools import cache

from timm.data import ImageNetInfo


@cache
def imagenet1k() -> list[str]:
    """The synsets, as `n01440764`, by class id of every net trained on ImageNet-1k."""
    return list(ImageNetInfo("imagenet-1k").label_names())


def described(synset: str) -> str:
    """`n01440764 tench`: the synset and its first word; alone where timm does not know it."""
    if synset not in _known():
        return synset
    words = ImageNetInfo("imagenet-1k").label_name_to_description(synset)
    return f"{synset} {words.split(',')[0]}"


@cache
def _known() -> set[str]:
    return set(imagenet1k())
