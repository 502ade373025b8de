/* Latency of operators of one class: features, heads, blends and bounds, as hetbench.predict defines them. */

enum { GEMM, PREFILL, DECODE, CONV, VECTOR };
enum { ROOFLINE, FULL, RATIO, CHIP };

typedef struct { /* of the chip */
    double vector_peak, bandwidth, units, cache, cache_bandwidth, fractal, turbo;
    double spoken_for; /* whether the next facts, those that the heads see, are of another chip of the die */
    double halvings, held, grown; /* halves that hold an answer up: how many, by which share, unless it grew so much */
} Facts;

typedef struct { /* of a class: what its full head consists of, and the network of the RGAT */
    int64_t members;
    double weight[4];
    const Forest *forest[4];   /* NULL where the member is a network */
    const Network *network[4];
    const float *cells;        /* [cells, hidden]: what a cell adds to the first layer */
    const Network *rgat;
    const float *low, *high;   /* [cells, ratio columns]: what rows of a cell cover; NULL where not known */
    int64_t slow;              /* points of the curve that a band is multiplied with; 0 where there is none */
    const double *slow_at, *slow_times;
} Class;

typedef struct { /* what else the full head is asked as: the cell of another engine */
    double effects[5];
    int64_t cell;
} Peer;

typedef struct { /* of one operator type, dtype and protocol on the chip */
    double own_peak; /* of the chip itself, where another one of its die speaks for it */
    double peak, floor, itemsize, effects[5], protocol, bias, constant, rgat, usual, asked_floor;
    double shares[6]; /* [inside or outside, 3] */
    double bands[12]; /* [inside or outside, sizes, 2] */
    double of_clock, of_peak; /* how much an estimated one widens an interval */
    int64_t head, cell, same_protocol, widened, peers;
    const Peer *peer; /* [peers] */
    const Forest *forest; /* of a ratio or chip head */
    const float *rgat_own; /* [hidden] */
} Group;

typedef struct {
    float ratio[BLOCK * MOST_COLUMNS], absolute[BLOCK * 16];
    double roofline[BLOCK], base[BLOCK], own_base[BLOCK], least[BLOCK];
    int columns;
} Made;

IN double logged(double x) { return is_nan(x) ? x : log2_(x > 0x1p-40 ? x : 0x1p-40); }

/* log2 of the largest power of two, up to 256, that divides the value */
IN double alignment(int64_t value) {
    int64_t low = value & -value;
    if (low == 0) return -infinity();
    if (low > 256 || low < 0) low = low < 0 ? low : 256;
    return low < 0 ? nan_value() : (double)__builtin_ctzll((uint64_t)low);
}

IN int64_t floor_div(int64_t a, int64_t b) {
    if (b == 0) return 0;
    int64_t q = a / b;
    return (a % b != 0 && ((a < 0) != (b < 0))) ? q - 1 : q;
}
IN int64_t ceil_div(int64_t a, int64_t b) { return -floor_div(-a, b); }

IN int tiles(float *at, int64_t batch, int64_t m, int64_t n, double units) {
    static const int64_t tile_m[4] = {256, 128, 64, 32}, tile_n[4] = {128, 128, 64, 16};
    for (int t = 0; t < 4; t++) {
        int64_t bm = ceil_div(m, tile_m[t]), bn = ceil_div(n, tile_n[t]);
        double waves = (double)(batch * bm * bn) / units;
        at[t] = (float)logged(waves);
        at[4 + t] = (float)(waves / ceil_(waves));
        at[8 + t] = (float)(((double)m / (double)(bm * tile_m[t])) * ((double)n / (double)(bn * tile_n[t])));
    }
    return 12;
}

#define C(i) (columns[(i) * rows + row])
#define I(i) ((int64_t)C(i))

static int gemm_shape(const double *columns, int64_t rows, int64_t row, double units, float *at) {
    int64_t b = I(0), m = I(1), n = I(2), k = I(3);
    at[0] = (float)logged(C(1)); at[1] = (float)logged(C(2)); at[2] = (float)logged(C(3)); at[3] = (float)logged(C(0));
    at[4] = (float)logged((double)(b * m * n) / units);
    at[5] = (float)alignment(m); at[6] = (float)alignment(n); at[7] = (float)alignment(k);
    return 8 + tiles(at + 8, b, m, n, units);
}

static int attention_shape(const double *columns, int64_t rows, int64_t row, double units, float *at) {
    int64_t batch = I(0), q = I(1), kv = I(2), heads = I(3), kv_heads = I(4);
    double window = C(6), causal = C(7), pairs = C(8);
    double wide = (double)(batch * heads * ceil_div(q, 128)) / units;
    double half = (double)(batch * heads * ceil_div(q, 64)) / units;
    double split = (double)(batch * kv_heads * ceil_div(kv, 512)) / units;
    double logs[16] = {
        C(0), C(1), C(2), C(3), C(4), C(5), maximum(window, 0.5), C(3) / C(4), C(2) / C(1),
        (double)(batch * kv_heads) / units, (double)(batch * kv_heads * kv) / units, wide, half, split,
        pairs / C(1) * ceil_(wide), pairs / C(1) * ceil_(half),
    };
    for (int i = 0; i < 16; i++) at[i] = (float)logged(logs[i]);
    at[16] = (float)causal;
    at[17] = (float)(pairs / (double)(q * kv));
    at[18] = (float)alignment(kv);
    at[19] = (float)(wide / maximum(ceil_(wide), 1.0));
    at[20] = (float)(half / maximum(ceil_(half), 1.0));
    at[21] = (float)(split / maximum(ceil_(split), 1.0));
    return 22;
}

/* columns: n c h w oc groups kh kw stride pad out_h out_w flops bytes */
static int conv_shape(const double *columns, int64_t rows, int64_t row, double units, float *at) {
    int64_t nn = I(0), c = I(1), h = I(2), w = I(3), oc = I(4), groups = I(5), kh = I(6), kw = I(7), stride = I(8);
    int64_t out_h = I(10), out_w = I(11);
    int64_t per_group = floor_div(c, groups);
    int64_t m = nn * out_h * out_w, n = floor_div(oc, groups), k = per_group * kh * kw;
    double logs[16] = {
        (double)nn, (double)c, (double)h, (double)w, (double)oc, (double)groups, (double)per_group, (double)m,
        (double)n, (double)k, (double)(out_h * out_w), (double)(kh * kw) / (double)(stride * stride),
        (double)(m * oc) / units, (double)(n * k), (double)m / (double)n, 0,
    };
    for (int i = 0; i < 15; i++) at[i] = (float)logged(logs[i]);
    float *next = at + 15;
    *next++ = (float)kh; *next++ = (float)kw; *next++ = (float)stride; *next++ = (float)C(9);
    *next++ = groups == c;
    *next++ = kh == 3 && kw == 3 && stride == 1 && groups == 1;
    *next++ = (float)alignment(c); *next++ = (float)alignment(oc); *next++ = (float)alignment(w);
    *next++ = (float)alignment(nn);
    *next++ = (float)(out_h - 4 * floor_div(out_h, 4)); *next++ = (float)(out_w - 4 * floor_div(out_w, 4));
    *next++ = (float)((double)(oc - c) / (double)(oc + c));
    return (int)(next - at) + tiles(next, groups, m, n, units);
}

/* columns: rows cols idle touched work flops bytes */
static int vector_shape(const double *columns, int64_t rows, int64_t row, double units, float *at) {
    int64_t height = I(0), cols = I(1);
    double numel = (double)(height * cols), waves = C(0) / units;
    at[0] = (float)logged(numel); at[1] = (float)logged(C(0)); at[2] = (float)logged(C(1));
    at[3] = (float)logged(numel / units); at[4] = (float)logged(waves);
    at[5] = (float)alignment(cols); at[6] = (float)alignment(height * cols);
    at[7] = (float)C(3); at[8] = (float)C(4); at[9] = height > 1;
    at[10] = height > 1 ? (float)(waves / ceil_(waves)) : 1.0f;
    at[11] = cols - 4 * floor_div(cols, 4) == 0;
    return 12;
}

static const int WORK_AT[5] = {4, 9, 9, 12, 5}; /* column of flops; bytes come next */

typedef struct {
    double flops, moved, compute, memory, cached, bound, roofline, least, base;
} Work;

static Work work_of(int cls, const double *columns, int64_t rows, int64_t row, const Facts *f, const Group *g,
                    double peak) {
    Work w;
    w.flops = C(WORK_AT[cls]);
    w.moved = C(WORK_AT[cls] + 1);
    w.compute = 1e3 * w.flops / (cls == VECTOR ? f->vector_peak : peak);
    w.memory = 1e3 * w.moved / f->bandwidth;
    w.roofline = fmax_(w.compute, w.memory);
    double hit = minimum(maximum((1.5 - w.moved / f->cache) / 0.8, 0.0), 1.0);
    if (is_nan(hit)) hit = 0.0;
    w.cached = w.memory * (1 - hit) + 1e3 * w.moved * hit / f->cache_bandwidth;
    double padding = 1.0, savings = 1.0, idle = cls == VECTOR ? C(2) : 1.0;
    if (cls == CONV) {
        int64_t side = (int64_t)f->fractal, n = floor_div(I(4), I(5)), k = floor_div(I(1), I(5)) * I(6) * I(7);
        padding = (double)(ceil_div(n, side) * side) / (double)n * ((double)(ceil_div(k, side) * side) / (double)k);
        savings = I(6) == 3 && I(7) == 3 && I(8) == 1 && I(5) == 1 ? 2.25 : 1.0;
    }
    w.bound = fmax_(w.compute * padding, w.cached * idle);
    w.least = fmax_(f->turbo != 0 ? 0.0 : w.compute / savings, hit > 0 ? w.cached : w.memory);
    w.base = w.bound + g->floor;
    return w;
}

static void features(int cls, const double *columns, int64_t rows, int64_t row, const Facts *f, const Group *g,
                     const Work *w, Made *made, int to) {
    made->roofline[to] = w->roofline;
    made->base[to] = w->base;
    double lc = logged(w->compute), lm = logged(w->memory), lk = logged(w->cached), lb = logged(w->bound);
    double lf = logged(g->floor), size = logged(w->moved), cache = logged(f->cache), work = logged(w->flops);
    float *ratio = made->ratio + to * MOST_COLUMNS, *absolute = made->absolute + to * 16;
    ratio[0] = (float)(lc - lk); ratio[1] = (float)(lc - lm); ratio[2] = (float)(lb - lf); ratio[3] = (float)(size - cache);
    ratio[4] = (float)g->itemsize;
    absolute[0] = (float)logged(g->peak); absolute[1] = (float)logged(f->bandwidth); absolute[2] = (float)logged(f->units);
    absolute[3] = (float)cache; absolute[4] = (float)lf; absolute[5] = (float)work; absolute[6] = (float)size;
    absolute[7] = (float)lb; absolute[8] = (float)lc; absolute[9] = (float)lm;
    int more = cls == GEMM ? gemm_shape(columns, rows, row, f->units, ratio + 5)
               : cls == CONV ? conv_shape(columns, rows, row, f->units, ratio + 5)
               : cls == VECTOR ? vector_shape(columns, rows, row, f->units, ratio + 5)
                               : attention_shape(columns, rows, row, f->units, ratio + 5);
    made->columns = 5 + more;
}

/* log(latency / base) of the rows `at` of a block, which share head and model */
static void learned(const Class *cls, const Group *const *group, const Made *made, const int *at, int many,
                    double *out) {
    float matrix[BLOCK * MOST_COLUMNS], hidden[BLOCK * MOST_HIDDEN] __attribute__((aligned(32)));
    double part[BLOCK];
    const Group *first = group[at[0]];
    int own = made->columns, width = own + 10;
    for (int r = 0; r < many; r++) {
        const Group *g = group[at[r]];
        float *to = matrix + r * MOST_COLUMNS;
        copy(to, made->ratio + at[r] * MOST_COLUMNS, own);
        if (first->head == RATIO) {
            for (int e = 0; e < 4; e++) to[own + e] = (float)g->effects[e];
            to[own + 4] = (float)g->protocol;
            continue;
        }
        copy(to + own, made->absolute + at[r] * 16, 10);
        if (first->head == CHIP) {
            to[width] = (float)g->effects[0]; to[width + 1] = (float)g->effects[3]; to[width + 2] = (float)g->effects[4];
            continue;
        }
        for (int e = 0; e < 5; e++) to[width + e] = (float)g->effects[e];
        to[width + 5] = (float)g->protocol;
        to[width + 6] = (float)g->cell;
    }
    if (first->head != FULL) {
        forest(first->forest, matrix, MOST_COLUMNS, many, out);
        return;
    }
    int own_place[BLOCK], left = many;
    for (int r = 0; r < many; r++) {
        out[r] = 0.0;
        own_place[r] = r;
    }
    for (int64_t engine = 0; left; engine++) { /* the mean over the engines that timed the operator */
        for (int64_t m = 0; m < cls->members; m++) {
            if (cls->forest[m]) {
                forest(cls->forest[m], matrix, MOST_COLUMNS, left, part);
            } else {
                int64_t size = cls->network[m]->hidden;
                for (int r = 0; r < left; r++)
                    copy(hidden + r * MOST_HIDDEN, cls->cells + (int64_t)matrix[r * MOST_COLUMNS + width + 6] * size,
                         size);
                network(cls->network[m], matrix, MOST_COLUMNS, left, hidden, part);
            }
            for (int r = 0; r < left; r++) out[own_place[r]] += cls->weight[m] * part[r];
        }
        int kept = 0;
        for (int r = 0; r < left; r++) {
            const Group *g = group[at[own_place[r]]];
            if (g->peers <= engine) continue;
            float *to = matrix + kept * MOST_COLUMNS;
            if (kept != r) copy(to, matrix + r * MOST_COLUMNS, width + 7);
            for (int e = 0; e < 5; e++) to[width + e] = (float)g->peer[engine].effects[e];
            to[width + 6] = (float)g->peer[engine].cell;
            own_place[kept++] = own_place[r];
        }
        left = kept;
    }
    for (int r = 0; r < many; r++) out[r] /= 1.0 + (double)group[at[r]]->peers;
}

static void decoded(const Class *cls, const Group *const *group, const Made *made, const int *at, int many,
                    double *out) {
    float matrix[BLOCK * MOST_COLUMNS], hidden[BLOCK * MOST_HIDDEN] __attribute__((aligned(32)));
    for (int r = 0; r < many; r++) {
        copy(matrix + r * MOST_COLUMNS, made->ratio + at[r] * MOST_COLUMNS, cls->rgat->columns);
        copy(hidden + r * MOST_HIDDEN, group[at[r]]->rgat_own, cls->rgat->hidden);
    }
    network(cls->rgat, matrix, MOST_COLUMNS, many, hidden, out);
}

IN double converted(double native, const Group *g) {
    if (g->same_protocol) return native;
    double floor = g->floor, target = g->asked_floor;
    if (target > floor) return maximum(native, target);
    return maximum(native - floor, 0.0) + minimum(target, floor);
}

static int outside(const Class *cls, const Group *g, const Made *made, int r) {
    if (!cls->low || g->head != FULL) return 0;
    const float *x = made->ratio + r * MOST_COLUMNS;
    const float *low = cls->low + g->cell * made->columns, *high = cls->high + g->cell * made->columns;
    for (int c = 0; c < made->columns; c++)
        if (x[c] < low[c] - 1.0f || x[c] > high[c] + 1.0f) return 1;
    return 0;
}

static double interpolated(double x, int64_t many, const double *at, const double *values) {
    if (is_nan(x)) return x;
    if (x <= at[0]) return values[0];
    for (int64_t i = 1; i < many; i++)
        if (x < at[i]) return (values[i] - values[i - 1]) / (at[i] - at[i - 1]) * (x - at[i - 1]) + values[i - 1];
    return values[many - 1];
}

typedef struct {
    double value, lower, upper;
} Bounds;

/* One row of the answer from log(latency / base) of head and RGAT. */
static Bounds finish(const Class *cls, const Group *g, const Made *made, int r, double head, double rgat) {
    double base = made->base[r], roofline = log_((made->roofline[r] + g->floor) / base);
    if (g->head == ROOFLINE) head = roofline;
    if (g->head == RATIO && !is_nan(g->constant)) { /* the median of head, constant and roofline */
        double low = minimum(head, g->constant), high = maximum(head, g->constant);
        head = maximum(low, minimum(high, roofline));
    }
    if (g->rgat != 0) head = g->rgat == 1 ? rgat : (1 - g->rgat) * head + g->rgat * rgat;
    int beyond = outside(cls, g, made, r);
    const double *shares = g->shares + 3 * beyond;
    if (shares[0] != 1) head = shares[0] * head + shares[1] * g->usual + shares[2] * roofline;
    double value = converted(made->own_base[r] * exp_(head), g);
    int size = made->roofline[r] <= base / 2 ? 0 : base < 1.0 ? 1 : 2;
    double low = g->bands[6 * beyond + 2 * size], high = g->bands[6 * beyond + 2 * size + 1];
    if (cls->slow && g->head != CHIP) {
        double times = interpolated(head, cls->slow, cls->slow_at, cls->slow_times);
        low *= times;
        high *= times;
    }
    if (g->widened) {
        double more = size == 0 ? g->of_clock : made->ratio[r * MOST_COLUMNS + 1] > 0 ? g->of_peak : 0.0;
        low = -__builtin_sqrt(low * low + more * more);
        high = __builtin_sqrt(high * high + more * more);
    }
    double least = made->least[r];
    Bounds out = {maximum(value, least), maximum(value * exp_(low), least), maximum(value * exp_(high), least)};
    return out;
}

/* Rows that wait for their heads: operators asked for, and halves that hold one up. */
typedef struct {
    const Group *group[BLOCK];
    int64_t row[BLOCK]; /* of the operator asked for */
    int whole[BLOCK], size;
    Made made;
} Waiting;

/* `out` [3, asked] and `least` [asked]: the most that a half or the operator itself takes */
static void answer(const Class *cls, const Facts *facts, Waiting *w, int64_t asked, double *out, double *least) {
    double head[BLOCK], rgat[BLOCK], part[BLOCK];
    int at[BLOCK], done[BLOCK], many;
    const Group *const *group = w->group;
    for (int r = 0; r < w->size; r++) {
        head[r] = rgat[r] = 0.0;
        done[r] = group[r]->head == ROOFLINE || group[r]->rgat == 1;
    }
    for (int first = 0; first < w->size; first++) {
        if (done[first]) continue;
        many = 0;
        for (int r = first; r < w->size; r++)
            if (!done[r] && group[r]->head == group[first]->head && group[r]->forest == group[first]->forest) {
                at[many++] = r;
                done[r] = 1;
            }
        learned(cls, group, &w->made, at, many, part);
        for (int i = 0; i < many; i++) head[at[i]] = part[i] + (group[at[i]]->head == RATIO ? group[at[i]]->bias : 0);
    }
    many = 0;
    for (int r = 0; r < w->size; r++)
        if (group[r]->rgat != 0) at[many++] = r;
    if (many) {
        decoded(cls, group, &w->made, at, many, part);
        for (int i = 0; i < many; i++) rgat[at[i]] = part[i];
    }
    for (int r = 0; r < w->size; r++) {
        Bounds found = finish(cls, group[r], &w->made, r, head[r], rgat[r]);
        int64_t row = w->row[r];
        if (w->whole[r]) {
            out[row] = found.value;
            out[asked + row] = found.lower;
            out[2 * asked + row] = found.upper;
        }
        least[row] = maximum(least[row], found.value * (w->whole[r] ? 1.0 : facts->held));
    }
    w->size = 0;
}

/* `row` [rows] is the operator that each row belongs to, `halved` [rows] how often it was halved; operators asked for
   stand before their halves. `columns` are [columns][stride]; `which` [rows] is the group of each; `base` and `least` have room for [asked]. */
static void operators_of_class(int which_class, const Class *cls, const Facts *facts, const Group *groups,
                               const int32_t *which, const int32_t *row, const int32_t *halved, const double *columns,
                               int64_t rows, int64_t stride, int64_t asked, double *out, double *base, double *least) {
    Waiting waiting;
    waiting.size = 0;
    for (int64_t r = 0; r < asked; r++) least[r] = 0.0;
    for (int64_t r = 0; r < rows; r++) {
        int slot = waiting.size;
        const Group *g = groups + which[r];
        Work own = work_of(which_class, columns, stride, r, facts, g, g->own_peak);
        if (halved[r] == 0) base[row[r]] = own.base;
        else if (!(own.base * facts->grown > base[row[r]])) continue;
        waiting.made.own_base[slot] = own.base;
        waiting.made.least[slot] = own.least;
        if (facts->spoken_for != 0) own = work_of(which_class, columns, stride, r, facts + 1, g, g->peak);
        features(which_class, columns, stride, r, facts + 1, g, &own, &waiting.made, slot);
        waiting.group[slot] = g;
        waiting.row[slot] = row[r];
        waiting.whole[slot] = halved[r] == 0;
        if (++waiting.size == BLOCK) answer(cls, facts, &waiting, asked, out, least);
    }
    if (waiting.size) answer(cls, facts, &waiting, asked, out, least);
    for (int64_t r = 0; r < asked; r++) {
        double up = maximum(least[r] / out[r], 1.0);
        for (int end = 0; end < 3; end++) out[end * asked + r] *= up;
    }
}
