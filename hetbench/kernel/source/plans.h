/* The operators of one network at one setting: sizes to dims, dims to latency, latency to sums. */

typedef struct { /* operators of one type and dtype */
    const Step *steps;
    int64_t many, inputs, rows, at; /* rows begin at row `at` of the class */
    int64_t axis;                   /* input whose doubling doubles the work */
    const int32_t *sizes;           /* [inputs, rows]: where the values of a dim stand */
    const int32_t *outputs;         /* [columns]: register of each column */
} Piece;

typedef struct { /* operators of one class */
    int64_t which_class, rows, columns, pieces, groups;
    const Piece *piece;
    const double *count; /* [rows]: how often each runs */
    const int32_t *which; /* [rows]: group of each */
    const Class *cls;
    const Group *group;
    const Facts *facts; /* of the chip, and of the one that speaks for it */
} Part;

#define CHUNK 16
#define MOST_REGISTERS 160

/* Canonical dims of a part, [columns][total] with `total` rows reserved, and the operator, halvings and group of each
   row. Every operator is followed by those of a half, a quarter ... of its rows, as long as these are whole. Returns
   the number of rows. */
static int64_t dims(const Part *part, const double *values, int64_t halvings, int64_t total, double *columns,
                    int32_t *row, int32_t *halved, int32_t *which) {
    double registers[MOST_REGISTERS * CHUNK];
    int64_t made = 0;
    for (int64_t p = 0; p < part->pieces; p++) {
        const Piece *piece = part->piece + p;
        int64_t begin = made;
        for (int64_t r = 0; r < piece->rows; r++) {
            int64_t size = (int64_t)values[piece->sizes[piece->axis * piece->rows + r]];
            for (int64_t h = 0; h <= halvings; h++) {
                if (h > 0 && (size <= 0 || (size & (((int64_t)1 << h) - 1)) != 0)) break;
                row[made] = (int32_t)(piece->at + r);
                halved[made] = (int32_t)h;
                which[made++] = part->which[piece->at + r];
            }
        }
        for (int64_t start = begin; start < made; start += CHUNK) {
            int64_t many = made - start < CHUNK ? made - start : CHUNK;
            for (int64_t i = 0; i < piece->inputs; i++)
                for (int64_t r = 0; r < many; r++) {
                    double value = values[piece->sizes[i * piece->rows + row[start + r] - piece->at]];
                    registers[i * many + r] = i == piece->axis ? (double)((int64_t)value >> halved[start + r]) : value;
                }
            program(piece->steps, piece->many, piece->inputs, registers, many);
            for (int64_t c = 0; c < part->columns; c++)
                for (int64_t r = 0; r < many; r++)
                    columns[c * total + start + r] = registers[piece->outputs[c] * many + r];
        }
    }
    return made;
}

/* Sums of value, lower and upper bound in ms, then the ms of every group; `work` has room for (columns + 4) x
   (1 + halvings) + 5 numbers for each row of the largest class. Returns 1 where a row belongs to another class: attention
   of one query is decoding. */
static int sum_of_parts(const Part *parts, int64_t many, const double *values, double *work, double *out) {
    double *by_group = out + 3;
    out[0] = out[1] = out[2] = 0.0;
    for (int64_t p = 0; p < many; p++) {
        const Part *part = parts + p;
        int64_t halvings = (int64_t)part->facts->halvings, asked = part->rows, total = asked * (1 + halvings);
        double *bounds = work, *base = bounds + 3 * asked, *least = base + asked, *columns = least + asked;
        int32_t *row = (int32_t *)(columns + part->columns * total), *halved = row + total, *which = halved + total;
        int64_t rows = dims(part, values, halvings, total, columns, row, halved, which);
        if (part->which_class == PREFILL || part->which_class == DECODE)
            for (int64_t r = 0; r < rows; r++)
                if ((columns[total + r] == 1) != (part->which_class == DECODE)) return 1;
        operators_of_class((int)part->which_class, part->cls, part->facts, part->group, which, row, halved, columns, rows,
                           total, asked, bounds, base, least);
        for (int64_t g = 0; g < part->groups; g++) by_group[g] = 0.0;
        for (int end = 0; end < 3; end++) {
            double sum = 0.0;
            for (int64_t r = 0; r < asked; r++) {
                double ms = bounds[end * asked + r] * part->count[r];
                sum += ms;
                if (end == 0) by_group[part->which[r]] += ms;
            }
            out[end] += sum;
        }
        by_group += part->groups;
    }
    return 0;
}

/* FLOP and bytes of one pass; `work` as above, without halves. */
static int work_of_parts(const Part *parts, int64_t many, const double *values, double *work, double *out) {
    out[0] = out[1] = 0.0;
    for (int64_t p = 0; p < many; p++) {
        const Part *part = parts + p;
        double *columns = work;
        int32_t *row = (int32_t *)(columns + part->columns * part->rows), *halved = row + part->rows;
        dims(part, values, 0, part->rows, columns, row, halved, halved + part->rows);
        for (int end = 0; end < 2; end++) {
            const double *column = columns + (part->columns - 2 + end) * part->rows;
            for (int64_t r = 0; r < part->rows; r++) out[end] += column[r] * part->count[r];
        }
    }
    return 0;
}
