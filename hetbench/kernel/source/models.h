/* Tree ensembles and networks over float matrices [rows, columns], at most BLOCK rows at a time. */

#define BLOCK 64
#define MOST_COLUMNS 128
#define MOST_HIDDEN 256

typedef struct {
    const int32_t *columns; /* [used] */
    int64_t used;
    const float *borders; /* of all used columns, sorted each */
    const int32_t *cuts;  /* [used + 1]: where the borders of a column begin */
    const uint8_t *column; /* [trees, depth]: index into `columns` */
    const uint8_t *rank;   /* [trees, depth]: true where more borders than this lie below */
    int64_t depth, trees;
    const float *leaves; /* [trees, 2 ** depth] */
    double bias;
} Forest;

typedef struct {
    const float *mean, *scale; /* [columns] */
    int64_t columns, hidden, layers; /* hidden layers after the first, each added to what it reads */
    const float *into; /* [columns, hidden] */
    const float *weights, *biases; /* [layers, hidden, hidden], [layers, hidden] */
    const float *out; /* [hidden] */
    double clip, offset, bias;
    int64_t unknown_is_zero; /* NaN counts as 0, else as the mean */
} Network;

IN void copy(float *to, const float *from, int64_t many) {
    for (int64_t i = 0; i < many; i++) to[i] = from[i];
}

#define LANES 32 /* rows that one step of the trees takes */
#define AHEAD 8  /* trees whose leaves are fetched ahead */

/* Number of borders of a column below the value of each row, less 128; none is below NaN. All rows take the same steps, and
   no branch depends on a value: the sign of border - value says which lies below. */
static void ranks_of(const float *border, int left, const float *values, int rows, int8_t *out) {
    int32_t low[BLOCK];
    for (int r = 0; r < rows; r++) low[r] = 0;
    for (; left > 0; left -= left > 1 ? left >> 1 : 1) {
        int32_t half = left > 1 ? left >> 1 : 1;
        for (int r = 0; r < rows; r++) {
            float off = border[low[r] + half - 1] - values[r];
            int32_t bits;
            __builtin_memcpy(&bits, &off, 4);
            low[r] += half & (bits >> 31);
        }
    }
    for (int r = 0; r < rows; r++) out[r % LANES + r / LANES * 256 * LANES] = (int8_t)(low[r] - 128);
}

/* Leaf of every lane: bit d is set where the rank exceeds the cut of level d. */
IN c32 leaves_of(const int8_t *ranks, const uint8_t *column, const uint8_t *rank, int64_t depth) {
    c32 leaf = {0};
    for (int64_t d = depth; d-- > 0;) {
        c32 above = *(const c32 *)(ranks + column[d] * LANES) > (c32){0} + (int8_t)(rank[d] - 128);
        leaf = leaf + leaf - above;
    }
    return leaf;
}

/* The trees are the outer loop: their leaves are larger than the nearest caches, so every block of rows reads them once. */
static void forest(const Forest *f, const float *matrix, int64_t stride, int rows, double *out) {
    int8_t ranks[BLOCK / LANES][256][LANES] __attribute__((aligned(32)));
    int blocks = (rows + LANES - 1) / LANES;
    for (int64_t u = 0; u < f->used; u++) {
        float values[BLOCK];
        for (int r = 0; r < blocks * LANES; r++) {
            float value = r < rows ? matrix[r * stride + f->columns[u]] : 0.0f;
            values[r] = value != value ? -__builtin_inff() : value;
        }
        ranks_of(f->borders + f->cuts[u], f->cuts[u + 1] - f->cuts[u], values, blocks * LANES, ranks[0][u]);
    }
    double total[BLOCK];
    for (int r = 0; r < BLOCK; r++) total[r] = 0.0;
    int64_t size = (int64_t)1 << f->depth;
    uint8_t at[AHEAD][BLOCK] __attribute__((aligned(32))); /* leaves of the next trees: their figures are being fetched */
    for (int64_t t = 0; t < f->trees + AHEAD - 1; t++) {
        if (t < f->trees) {
            const uint8_t *column = f->column + t * f->depth, *rank = f->rank + t * f->depth;
            const float *leaves = f->leaves + t * size;
            uint8_t *own = at[t % AHEAD];
            for (int b = 0; b < blocks; b++)
                *(c32 *)(own + b * LANES) = f->depth == 8 ? leaves_of(ranks[b][0], column, rank, 8)
                                                          : leaves_of(ranks[b][0], column, rank, f->depth);
            if (rows < 16)
                for (int r = 0; r < rows; r++) __builtin_prefetch(leaves + own[r]);
            else
                for (int64_t line = 0; line < size; line += 16) __builtin_prefetch(leaves + line);
        }
        int64_t done = t - (AHEAD - 1);
        if (done < 0) continue;
        const uint8_t *own = at[done % AHEAD];
        const float *leaves = f->leaves + done * size;
        int r = 0;
        for (; r + 8 <= rows; r += 8)
            for (int lane = r; lane < r + 8; lane++) total[lane] += leaves[own[lane]];
        for (; r < rows; r++) total[r] += leaves[own[r]];
    }
    for (int r = 0; r < rows; r++) out[r] = total[r] + f->bias;
}

/* y[rows, n] += x[rows, k] w[k, n]; rows are a multiple of 4, n of 16 */
static void product(int rows, int64_t k, int64_t n, const float *x, int64_t x_stride, const float *w, float *y,
                    int64_t y_stride) {
#pragma clang fp contract(fast)
    for (int64_t j = 0; j < n; j += 16) {
        for (int r = 0; r < rows; r += 4) {
            v8 acc[4][2];
            for (int i = 0; i < 4; i++)
                for (int c = 0; c < 2; c++) acc[i][c] = *(v8u *)(y + (r + i) * y_stride + j + 8 * c);
            for (int64_t p = 0; p < k; p++) {
                v8 a = *(const v8u *)(w + p * n + j), b = *(const v8u *)(w + p * n + j + 8);
                for (int i = 0; i < 4; i++) {
                    float s = x[(r + i) * x_stride + p];
                    acc[i][0] += s * a;
                    acc[i][1] += s * b;
                }
            }
            for (int i = 0; i < 4; i++)
                for (int c = 0; c < 2; c++) *(v8u *)(y + (r + i) * y_stride + j + 8 * c) = acc[i][c];
        }
    }
}

IN float standardised(float value, float mean, float scale, float clip, int64_t unknown_is_zero) {
    if (value != value && unknown_is_zero) value = 0.0f;
    float x = (value - mean) / scale;
    return x != x ? 0.0f : x > clip ? clip : x < -clip ? -clip : x;
}

/* `hidden` [rows, MOST_HIDDEN] holds what labels add to the first layer, bias included */
static void network(const Network *f, const float *matrix, int64_t stride, int rows, float *hidden, double *out) {
    float x[BLOCK * MOST_COLUMNS], y[BLOCK * MOST_HIDDEN] __attribute__((aligned(32)));
    int asked = rows;
    for (; rows % 4; rows++) copy(hidden + rows * MOST_HIDDEN, hidden, f->hidden); /* whole tiles; row 0 once more */
    for (int r = 0; r < rows; r++)
        for (int64_t c = 0; c < f->columns; c++)
            x[r * MOST_COLUMNS + c] =
                standardised(matrix[(r < asked ? r : 0) * stride + c], f->mean[c], f->scale[c], (float)f->clip, f->unknown_is_zero);
    product(rows, f->columns, f->hidden, x, MOST_COLUMNS, f->into, hidden, MOST_HIDDEN);
    for (int r = 0; r < rows; r++)
        for (int64_t c = 0; c < f->hidden; c += 8) {
            v8u *at = (v8u *)(hidden + r * MOST_HIDDEN + c);
            *at = silu8(*at);
        }
    for (int64_t layer = 0; layer < f->layers; layer++) {
        const float *bias = f->biases + layer * f->hidden;
        for (int r = 0; r < rows; r++)
            for (int64_t c = 0; c < f->hidden; c++) y[r * MOST_HIDDEN + c] = bias[c];
        product(rows, f->hidden, f->hidden, hidden, MOST_HIDDEN, f->weights + layer * f->hidden * f->hidden, y,
                MOST_HIDDEN);
        for (int r = 0; r < rows; r++)
            for (int64_t c = 0; c < f->hidden; c += 8) {
                v8u *at = (v8u *)(hidden + r * MOST_HIDDEN + c);
                *at += silu8(*(v8u *)(y + r * MOST_HIDDEN + c));
            }
    }
    for (int r = 0; r < asked; r++) {
        v8 sum = {0};
        for (int64_t c = 0; c < f->hidden; c += 8)
            sum += *(v8u *)(hidden + r * MOST_HIDDEN + c) * *(const v8u *)(f->out + c);
        float total = ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
        out[r] = (double)(total + (float)f->bias) + f->offset;
    }
}
