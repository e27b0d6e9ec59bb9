"""ImageNet's 1000 classes (ILSVRC 2012) and their order, from timm's lists."""

from functools import cache

from timm.data import ImageNetInfo


@cache  # it reads its lists anew each time
def _info() -> ImageNetInfo:
    return ImageNetInfo("imagenet-1k")


def imagenet1k() -> list[str]:
    """The synsets, as `n01440764`, by class id of every net trained on ImageNet-1k."""
    return list(_info().label_names())


def described(synset: str) -> str:
    """`n01440764 tench`: the synset and its first word; alone where timm does not know it."""
    try:
        words = _info().label_name_to_description(synset)
    except KeyError:
        return synset
    return f"{synset} {words.split(',')[0]}"
