"""Plausible wrong backward passes of the sharded loss."""

from kernels.softmax import LN2


def _backward(
    upstream,
    saved,
    ops,
    collectives,
    dtypes,
    chunk,
    scatter=None,
    world=None,
    mine=None,
    scale=None,
):
    rows, row_norm, columns, column_norm, scale_log2, *softmaxes = saved
    n, offset = len(columns), collectives.offset
    chunk = chunk or ops.default_chunk(n, rows.dtype)
    g_rows, g_columns, unit = ops.gradient(rows, columns, scale_log2, *softmaxes, offset, chunk)
    g_columns = (scatter or collectives.scatter)(g_columns)
    factor = (
        upstream.to(scale_log2.dtype) * scale_log2 * (LN2 * unit * (world or collectives.world) / n)
    )
    local_columns = (mine or (lambda x: x[offset : offset + len(g_columns)]))(columns)
    d_image, row_dot = ops.normalize_backward(g_rows, rows, row_norm, factor, dtypes[0])
    d_text, _ = ops.normalize_backward(g_columns, local_columns, column_norm, factor, dtypes[1])
    row_dot = row_dot.double().sum()
    return (
        d_image,
        d_text,
        scale(row_dot) if scale else collectives.total(row_dot) / collectives.world,
    )


def texts_get_gradients_of_this_rank_only(upstream, saved, ops, collectives, dtypes, chunk):
    first, count = collectives.offset, len(saved[0])

    def local(g_columns):
        return g_columns[first : first + count].clone()

    return _backward(upstream, saved, ops, collectives, dtypes, chunk, scatter=local)


def forgets_that_ddp_averages(upstream, saved, ops, collectives, dtypes, chunk):
    scale = collectives.total  # the scale is right: only the features are too small
    return _backward(upstream, saved, ops, collectives, dtypes, chunk, world=1, scale=scale)


def takes_the_first_columns_of_all_ranks(upstream, saved, ops, collectives, dtypes, chunk):
    count = len(saved[0])
    return _backward(
        upstream, saved, ops, collectives, dtypes, chunk, mine=lambda columns: columns[:count]
    )


def each_rank_keeps_its_part_of_the_scale(upstream, saved, ops, collectives, dtypes, chunk):
    return _backward(
        upstream, saved, ops, collectives, dtypes, chunk, scale=lambda row_dot: row_dot
    )


def the_scale_is_world_times_too_large(upstream, saved, ops, collectives, dtypes, chunk):
    return _backward(upstream, saved, ops, collectives, dtypes, chunk, scale=collectives.total)


def averages_the_columns(upstream, saved, ops, collectives, dtypes, chunk):
    def mean(g_columns):
        return collectives.scatter(g_columns) / collectives.world

    return _backward(upstream, saved, ops, collectives, dtypes, chunk, scatter=mean)


def ignores_the_upstream_gradient(upstream, saved, ops, collectives, dtypes, chunk):
    return _backward(upstream * 0 + 1, saved, ops, collectives, dtypes, chunk)
