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

/* The trees are the outer loop: their leaves are larger than the nearest caches, so every block of rows reads them once. */
static void forest(const Forest *f, const float *matrix, int64_t stride, int rows, double *out) {
    uint8_t ranks[BLOCK / 16][256][16] __attribute__((aligned(16)));
    int blocks = (rows + 15) / 16;
    for (int64_t u = 0; u < f->used; u++) {
        const float *border = f->borders + f->cuts[u];
        int n = f->cuts[u + 1] - f->cuts[u];
        for (int r = 0; r < blocks * 16; r++) {
            float value = r < rows ? matrix[r * stride + f->columns[u]] : 0.0f;
            int low = 0, left = n;
            while (left > 0) { /* number of borders below the value; none is below NaN */
                int half = left >> 1;
                int above = border[low + half] < value;
                low = above ? low + half + 1 : low;
                left = above ? left - half - 1 : half;
            }
            ranks[r / 16][u][r % 16] = (uint8_t)low;
        }
    }
    double total[BLOCK];
    for (int r = 0; r < BLOCK; r++) total[r] = 0.0;
    const uint8_t *column = f->column, *rank = f->rank;
    const float *leaves = f->leaves;
    int64_t size = (int64_t)1 << f->depth;
    for (int64_t t = 0; t < f->trees; t++, leaves += size, column += f->depth, rank += f->depth) {
        if (t + 3 < f->trees)
            for (int64_t ahead = 0; ahead < size; ahead += 16) __builtin_prefetch(leaves + 3 * size + ahead);
        for (int b = 0; b < blocks; b++) {
            b16 leaf = {0};
            for (int64_t d = 0; d < f->depth; d++) {
                b16 own = *(const b16 *)ranks[b][column[d]];
                b16 cut = (b16){0} + rank[d];
                b16 above = (b16)(own > cut);
                leaf |= above & (uint8_t)(1u << d);
            }
            uint8_t at[16] __attribute__((aligned(16)));
            *(b16 *)at = leaf;
            int many = rows - 16 * b < 16 ? rows - 16 * b : 16;
            double *sum = total + 16 * b;
            if (many == 16)
                for (int r = 0; r < 16; r++) sum[r] += leaves[at[r]];
            else
                for (int r = 0; r < many; r++) sum[r] += leaves[at[r]];
        }
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
