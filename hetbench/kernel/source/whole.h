/* Whole models: every operator as a row of features, what the networks say of it, and the sums over all rows. */

#define WHOLE_COLUMNS 26 /* the last is log2 of the batch */
#define MEANS 11
#define KINDS 17 /* of operators in a summary */
#define SUMS (6 + MEANS + 2 * KINDS)
#define LEVELS 3

typedef struct { /* the network of one seed */
    const Network *network;
    const float *operators;           /* [types, hidden]: what a type adds to the first layer */
    const float *context[LEVELS];     /* [labels, hidden]: what a label adds, the bias in the first level */
    const float *scalars[LEVELS];     /* [labels, 3]: log launch first */
    int64_t label[LEVELS];
} Seed;

typedef struct { /* of one operator type and dtype on the chip under the labels */
    double peak, itemsize, known, weight[LEVELS];
    int64_t type, kind;
} Kind;

typedef struct {
    double bandwidth, vector_peak, units, cache, launch, least, most;
} WholeFacts;

/* columns of the matrix, in the order of hetbench.predict.model_features.COLUMNS */
enum { W_FLOPS, W_BYTES, W_INTENSITY, W_ROWS, W_COLS, W_INNER, W_GROUPS, W_TAPS, W_STRIDE, W_SPECIAL, W_ALIGNED_COLS,
       W_ALIGNED_INNER, W_SPATIAL, W_TOUCHED, W_WORK, W_ITEMSIZE, W_CONV, W_GEMM, W_ATTENTION, W_VECTOR, W_COMPUTE, W_BASE,
       W_CACHE, W_WAVES, W_FILL };
static const int MEAN_OF[MEANS] = {W_ROWS, W_COLS, W_INNER, W_GROUPS, W_TAPS, W_ALIGNED_COLS, W_ALIGNED_INNER, W_SPATIAL,
                                   W_COMPUTE, W_CACHE, W_FILL};

IN double bounded_log2(double x) { return is_nan(x) ? x : log2_(x > 0x1p-10 ? x : 0x1p-10); }

IN double aligned64(double value) {
    int64_t whole = (int64_t)value;
    if (whole < 1) whole = 1;
    int64_t low = whole & -whole;
    return (double)__builtin_ctzll((uint64_t)(low < 64 ? low : 64)) / 6;
}

IN float clipped(double x) {
    if (is_nan(x)) x = 0.0;
    return (float)(x < -20.0 ? -20.0 : x > 60.0 ? 60.0 : x);
}

/* One row of the matrix; returns base ms, and adds its ms at the peak to `compute_ms`. */
static double whole_row(int cls, const double *columns, int64_t rows, int64_t row, const WholeFacts *f, const Kind *k,
                        double *compute_ms, float *at) {
    double height, cols, inner = 1, batches = 1, taps = 1, stride = 1, spatial = 1, touched = 0, work = 0;
    int special = 0;
    if (cls == GEMM) {
        height = C(0) * C(1); cols = C(2); inner = C(3); batches = C(0);
    } else if (cls == CONV) {
        int64_t groups = I(5);
        taps = C(6) * C(7); spatial = C(10) * C(11);
        special = groups == I(1) && groups > 1;
        height = C(0) * spatial; cols = (double)floor_div(I(4), groups);
        inner = (double)floor_div(I(1), groups) * taps; batches = C(5); stride = C(8);
    } else if (cls == VECTOR) {
        height = C(0); cols = C(1); touched = C(3); work = C(4);
    } else {
        height = C(0) * C(3) * C(1); cols = C(5); inner = C(2); batches = C(3) / C(4); special = C(6) > 0; spatial = C(1);
    }
    double flops = C(WORK_AT[cls]), moved = C(WORK_AT[cls] + 1);
    double compute = 1e3 * flops / (cls == VECTOR ? f->vector_peak : k->peak), memory = 1e3 * moved / f->bandwidth;
    if (is_nan(compute)) compute = 0.0;
    double base = maximum(compute, memory);
    double down = ceil_(height / 128), across = ceil_(cols / 128);
    double waves = (down > 1 ? down : 1) * (across > 1 ? across : 1) * (cls == CONV ? batches : 1) / f->units;
    double values[25] = {
        bounded_log2(flops), bounded_log2(moved), 0, bounded_log2(height), bounded_log2(cols), bounded_log2(inner),
        bounded_log2(batches), bounded_log2(taps), bounded_log2(stride), special, aligned64(cols), aligned64(inner),
        bounded_log2(spatial), touched / 4, minimum(work, 64) / 16, k->itemsize, cls == CONV, cls == GEMM,
        cls == PREFILL || cls == DECODE, cls == VECTOR, log2_(maximum(compute, 1e-9) / maximum(memory, 1e-9)),
        log2_(maximum(base, 1e-6)), log2_(maximum(moved, 1.0) / f->cache), log2_(waves), waves / ceil_(waves),
    };
    values[W_INTENSITY] = values[0] - values[1];
    for (int c = 0; c < 25; c++) at[c] = clipped(values[c]);
    *compute_ms = compute;
    return base;
}

IN double exp2_(double x) { return exp_(x * 0.6931471805599453); }

IN double pooled(const float *table, int64_t stride, int64_t index, double weight) {
    return (double)table[0] + weight * ((double)table[index * stride] - (double)table[0]);
}

/* ms of the rows of a block by one seed, before the offset of the labels */
static void seed_ms(const Seed *s, const WholeFacts *f, const Kind *const *kind, const float *matrix, const double *base,
                    const double *count, int rows, double *out) {
    float hidden[BLOCK * MOST_HIDDEN] __attribute__((aligned(32)));
    int64_t size = s->network->hidden;
    for (int r = 0; r < rows; r++)
        for (int64_t h = 0; h < size; h++) {
            double sum = pooled(s->operators + h, size, kind[r]->type, kind[r]->known);
            for (int l = 0; l < LEVELS; l++)
                sum += pooled(s->context[l] + h, size, s->label[l], (double)(float)kind[r]->weight[l]);
            hidden[r * MOST_HIDDEN + h] = (float)sum;
        }
    network(s->network, matrix, MOST_COLUMNS, rows, hidden, out);
    for (int r = 0; r < rows; r++) {
        double launch = f->launch, factor = minimum(maximum(out[r], f->least), f->most);
        for (int l = 0; l < LEVELS; l++) launch += pooled(s->scalars[l], 3, s->label[l], kind[r]->weight[l]);
        out[r] = count[r] * (base[r] + exp_(launch)) * exp_(factor);
    }
}

/* `out`: ms by each seed, base ms of types that the cell has measured, SUMS of the composition, mean ms of every group */
static int whole_of_parts(const Part *parts, int64_t many, const WholeFacts *f, const Kind *kinds, const Seed *seeds,
                          int64_t seeded, double batch, const double *values, double *work, double *out) {
    double *seen = out + seeded, *sums = seen + 1, *by_group = sums + SUMS, logged_batch = log2_(batch);
    double mean[MEANS], *by_kind = sums + 6 + MEANS, *launches = by_kind + KINDS;
    int64_t groups = 0;
    for (int64_t p = 0; p < many; p++) groups += parts[p].groups;
    for (int64_t i = 0; i < seeded + 1 + SUMS + groups; i++) out[i] = 0.0;
    for (int m = 0; m < MEANS; m++) mean[m] = 0.0;
    for (int64_t p = 0; p < many; p++) {
        const Part *part = parts + p;
        double *columns = work;
        int32_t *row = (int32_t *)(columns + part->columns * part->rows), *halved = row + part->rows;
        dims(part, values, 0, part->rows, columns, row, halved, halved + part->rows);
        for (int64_t start = 0; start < part->rows; start += BLOCK) {
            float matrix[BLOCK * MOST_COLUMNS];
            double base[BLOCK], ms[BLOCK], compute;
            const Kind *kind[BLOCK];
            const double *count = part->count + start;
            int size = part->rows - start < BLOCK ? (int)(part->rows - start) : BLOCK;
            for (int r = 0; r < size; r++) {
                float *at = matrix + r * MOST_COLUMNS;
                kind[r] = kinds + part->which[start + r];
                base[r] = whole_row((int)part->which_class, columns, part->rows, start + r, f, kind[r], &compute, at);
                at[25] = (float)logged_batch;
                double all = base[r] * count[r];
                int64_t of = kind[r]->kind;
                if (at[W_CONV] > 0) of = 13 + (at[W_SPECIAL] > 0 ? 3 : at[W_GROUPS] > 0 ? 2 : at[W_TAPS] == 0 ? 1 : 0);
                sums[0] += compute * count[r];
                sums[1] += all;
                sums[2] += count[r];
                if (at[W_COMPUTE] < 0) sums[3] += all;
                sums[4] += exp2_(at[W_FLOPS]) * count[r];
                sums[5] += exp2_(at[W_BYTES]) * count[r];
                for (int m = 0; m < MEANS; m++) mean[m] += all * (double)at[MEAN_OF[m]];
                by_kind[of] += all;
                launches[of] += count[r];
                if (kind[r]->weight[LEVELS - 1] > 0) *seen += all;
            }
            for (int64_t s = 0; s < seeded; s++) {
                seed_ms(seeds + s, f, kind, matrix, base, count, size, ms);
                for (int r = 0; r < size; r++) {
                    out[s] += ms[r];
                    by_group[part->which[start + r]] += ms[r] / (double)seeded;
                }
            }
        }
        by_group += part->groups;
        kinds += part->groups;
    }
    for (int m = 0; m < MEANS; m++) sums[6 + m] = mean[m];
    return 0;
}
