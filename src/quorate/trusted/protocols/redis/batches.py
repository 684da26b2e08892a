"""Long lists of arguments in pieces, each for a request of its own. Knows no command."""


def batches(parts: list[bytes], stride: int, groups_max: int, bytes_max: int) -> list[list[bytes]]:
    """`parts`, in order and in groups of `stride`, in pieces within both limits, or of one group."""
    pieces: list[list[bytes]] = []
    size = 0
    for start in range(0, len(parts), stride):
        group = parts[start : start + stride]
        added = sum(map(len, group))
        if not pieces or len(pieces[-1]) >= groups_max * stride or size + added > bytes_max:
            pieces.append([])
            size = 0
        pieces[-1] += group
        size += added
    return pieces
